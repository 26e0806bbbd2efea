//! Why there is no log.

use std::io;
use std::path::PathBuf;

use crate::config::{EXIT_CONFIG, EXIT_FAILURE, FilePosition};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A form of lines or of times is wrong.
    #[error("{option} = {format:?}: {problem}")]
    Format {
        /// The option.
        option: &'static str,
        /// What was given.
        format: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file of Python's logging configuration is wrong or asks for what is not there.
    #[error("{position}: {problem}")]
    Config {
        /// Where it stands.
        position: FilePosition,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The file of Python's logging configuration cannot be read.
    #[error("cannot read the logging configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A log file cannot be opened.
    #[error("cannot log to {path}: {source}; check log_file and log_dir and who may write there")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no thread to write the log with.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(io::Error),
    /// Logging was started before in this process.
    #[error("logging was started twice in one process")]
    AlreadyStarted,
}

impl LogError {
    /// The exit code a program ends with.
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
