//! The errors of opening an embedded registry.

use std::io;
use std::path::PathBuf;

/// The reason why an embedded registry cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the registry folder {} cannot be created, read or written: {cause}", folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the registry folder {} is in use by another process: stop it, or give this one a data_dir of its own", folder.display())]
    InUse { folder: PathBuf },
    #[error("the registry in {} cannot be opened, and there is no journal to rebuild it from: {reason}; set the folder aside and restore it from a backup", folder.display())]
    Damaged { folder: PathBuf, reason: String },
    #[error("the registry's commit thread cannot be started")]
    Thread(#[source] io::Error),
}
