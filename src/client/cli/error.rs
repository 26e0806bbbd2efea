//! Errors of the command-line programs and the exit code of each.

use std::io;

use crate::client::ClientError;
use crate::keystone::KeystoneError;

// Exit codes, as listed by `--help`.
const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const NO_CONNECTION: u8 = 3;
const INCOMPLETE: u8 = 4;

/// Reason for which a command ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The command line is wrong; nothing was sent.
    #[error("{0}")]
    Usage(String),
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The operation was refused, by the server or by the user; the text says which.
    #[error("{0}")]
    Refused(String),
    /// The failure has been printed already; only its exit code remains.
    #[error("exit code {0}")]
    Reported(u8),
    /// The reader of the output closed it (`| head`), which is not a failure.
    #[error("the output was closed")]
    OutputClosed,
    /// The output cannot be written.
    #[error("Cannot write the output: {0}")]
    Output(io::Error),
}

/// A result of a command.
pub(super) type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// Returns the exit code of the process.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Reported(code) => *code,
            Self::Usage(_) | Self::Client(ClientError::Invalid(_)) => USAGE,
            Self::Client(error) => client_code(error),
            Self::Refused(_) | Self::Output(_) => REFUSED,
        }
    }

    /// Converts the error of a transfer; a closed output becomes [`CliError::OutputClosed`].
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
        | ClientError::Proxy { .. }
        | ClientError::Timeout { .. }
        | ClientError::Tls { .. } => NO_CONNECTION,
        ClientError::Login { source, .. } => match &**source {
            KeystoneError::Unreachable(_) | KeystoneError::Late(_) => NO_CONNECTION,
            _ => REFUSED,
        },
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
