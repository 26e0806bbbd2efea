//! How the program ends.

use std::io;

use crate::client::ClientError;

/// Exit codes, as `--help` lists them.
const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const NO_CONNECTION: u8 = 3;
const INCOMPLETE: u8 = 4;

/// Why the program ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The command line asks for what cannot be done.
    #[error("{0}")]
    Usage(String),
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Something else did not come about; the words say what.
    #[error("{0}")]
    Refused(String),
    /// Something failed that has been told of already; the exit code is left.
    #[error("exit code {0}")]
    Reported(u8),
    /// Nobody reads the output any more, which is no failure.
    #[error("the output was closed")]
    OutputClosed,
    /// The output cannot be written.
    #[error("Writing the output failed: {0}")]
    Output(io::Error),
}

/// A result of a command.
pub(super) type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Reported(code) => *code,
            Self::Usage(_) | Self::Client(ClientError::Invalid(_)) => USAGE,
            Self::Client(error) => client_code(error),
            Self::Refused(_) | Self::Output(_) => REFUSED,
        }
    }

    /// A failed transfer; a closed output is told apart.
    pub(super) fn of_transfer(error: ClientError) -> Self {
        match error {
            ClientError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
                Self::OutputClosed
            }
            other => Self::Client(other),
        }
    }
}

fn client_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Connect { .. }
        | ClientError::Disconnected { .. }
        | ClientError::Timeout { .. } => NO_CONNECTION,
        ClientError::ChecksumMismatch { .. } | ClientError::ShortBody { .. } => INCOMPLETE,
        _ => REFUSED,
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Output(error),
        }
    }
}
