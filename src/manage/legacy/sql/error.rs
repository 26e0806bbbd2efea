//! Why an old registry cannot be read.

use std::path::PathBuf;

/// Why an old registry cannot be read. None of them shows its URL, which may have a password.
#[derive(Debug, thiserror::Error)]
pub(in crate::manage) enum SqlError {
    #[error("metadata_encryption_key has 16, 24 or 32 bytes, and this key has {0}")]
    KeyLength(usize),
    #[error("the URL begins with none of sqlite:, mysql:// and postgresql://")]
    Scheme,
    #[error("there is no file {}", .0.display())]
    NoFile(PathBuf),
    #[error("the old registry cannot be opened: {0}")]
    Open(#[source] sqlx::Error),
    #[error("the old registry cannot be read: {0}")]
    Read(#[from] sqlx::Error),
    #[error("this is no registry of Glance: it has no table images")]
    NoTable,
    #[error("this is no registry of Glance: its table images has no column {0}")]
    NoColumn(&'static str),
}
