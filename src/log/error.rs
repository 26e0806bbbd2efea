//! [`LogError`]: the reasons why logging cannot start.

use std::io;
use std::path::PathBuf;

use crate::config::{EXIT_CONFIG, EXIT_FAILURE, FilePosition};

/// A reason why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The format of lines or of times is invalid.
    #[error("{option} = {format:?}: {problem}")]
    Format {
        /// Name of the option.
        option: &'static str,
        /// Value of the option.
        format: String,
        /// Description of the mistake.
        problem: String,
    },
    /// The file of Python's logging configuration is invalid or uses an unsupported feature.
    #[error("{position}: {problem}")]
    Config {
        /// Position of the setting.
        position: FilePosition,
        /// Description of the mistake, and the remedy.
        problem: String,
    },
    /// The file of Python's logging configuration cannot be read.
    #[error("cannot read the logging configuration {}: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A log file cannot be opened.
    #[error(
        "cannot log to {path}: {source}; check log_file, log_dir and the permissions of the folder"
    )]
    Open {
        /// Path of the file.
        path: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The writing thread cannot be started.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(io::Error),
    /// Logging was started before in this process.
    #[error("logging was started twice in one process")]
    AlreadyStarted,
}

impl LogError {
    /// Returns the exit code of a program that stops because of this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Format { .. } | Self::Config { .. } => EXIT_CONFIG,
            Self::Unreadable { .. }
            | Self::Open { .. }
            | Self::Thread(_)
            | Self::AlreadyStarted => EXIT_FAILURE,
        }
    }
}
