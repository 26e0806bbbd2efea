//! Why an old registry is not taken over.

use std::io;
use std::path::PathBuf;

#[cfg(feature = "legacy-sql")]
use super::sql::SqlError;

/// Why an old registry is not taken over. None of them shows its URL, which may have a password.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum LegacyError {
    #[cfg(not(feature = "legacy-sql"))]
    #[error(
        "this program was built without SQL drivers; build it with: cargo build --release \
         --features legacy-sql"
    )]
    NotBuilt,
    #[error("the URL cannot be read from standard input: {0}")]
    Url(#[source] io::Error),
    #[error("the file with the key, {}, cannot be read: {cause}", file.display())]
    Key { file: PathBuf, cause: io::Error },
    #[cfg(feature = "legacy-sql")]
    #[error("{0}")]
    Sql(#[from] SqlError),
}
