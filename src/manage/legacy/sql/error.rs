//! The error of reading an old registry.

use std::path::PathBuf;

/// An old registry cannot be read. No message contains its URL, which may have a password.
#[derive(Debug, thiserror::Error)]
pub(in crate::manage) enum SqlError {
    #[error("the encryption key must have 16, 24 or 32 bytes, but has {0}")]
    KeyLength(usize),
    #[error("the URL must begin with sqlite:, mysql:// or postgresql://")]
    Scheme,
    #[error("there is no file {}", .0.display())]
    NoFile(PathBuf),
    #[error("cannot open the old registry: {0}")]
    Open(#[source] sqlx::Error),
    #[error("cannot read the old registry: {0}")]
    Read(#[from] sqlx::Error),
    #[error("the database is not a registry of Glance: it has no table images")]
    NoTable,
    #[error("the database is not a registry of Glance: its table images has no column {0}")]
    NoColumn(&'static str),
}
