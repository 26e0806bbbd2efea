//! The error of `load-legacy`.

use std::io;
use std::path::PathBuf;

#[cfg(feature = "legacy-sql")]
use super::sql::SqlError;

/// An old registry cannot be imported. No message contains its URL, which may have a password.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum LegacyError {
    #[cfg(not(feature = "legacy-sql"))]
    #[error(
        "this program was built without SQL drivers; build it with: cargo build --release \
         --features legacy-sql"
    )]
    NotBuilt,
    #[error("cannot read the URL from standard input: {0}")]
    Url(#[source] io::Error),
    #[error("cannot read the key file {}: {cause}", file.display())]
    Key { file: PathBuf, cause: io::Error },
    #[cfg(feature = "legacy-sql")]
    #[error("{0}")]
    Sql(#[from] SqlError),
}
