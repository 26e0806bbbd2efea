//! The error type of the domain, which the service, stores and registries return.
//!
//! An error has two texts. The message goes to the client: it states what failed and on what, and
//! never contains a secret, a path or a backend's text. The cause goes to the log. The APIs map
//! each [`Kind`] to a status of their protocol.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// Retry time when no file descriptors are left. Transfers, which hold most of them, end all the
/// time.
const DESCRIPTORS_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The kind of a failure, which an API maps to a status of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The request is malformed or contradicts itself.
    Invalid,
    /// The caller is not authenticated.
    Unauthenticated,
    /// The caller lacks the permission.
    Forbidden,
    /// The object does not exist, or the caller may not learn that it does.
    NotFound,
    /// The image's state does not allow the operation.
    Conflict,
    /// The store accepts no data.
    StoreReadOnly,
    /// The image was deleted during the upload of its data.
    DeletedMeanwhile,
    /// A precondition of the request is false.
    PreconditionFailed,
    /// A limit was exceeded, or the store is full.
    TooLarge,
    /// The sender made no progress for too long.
    Timeout,
    /// The sender disconnected.
    Disconnected,
    /// The record has changed since it was read. The caller decides whether to retry.
    Stale,
    /// The data can only be read from their first byte on.
    WholeOnly,
    /// A temporary failure.
    Unavailable {
        /// The time after which a retry makes sense.
        retry_after: Duration,
    },
    /// A fault of this server.
    Internal,
}

/// An error of the domain: its kind, a message for the client and a cause for the log.
pub struct Error {
    kind: Kind,
    message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result with the domain's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Returns an error with a message for the client.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            cause: None,
        }
    }

    /// Returns an internal error. The client gets a general message; the cause is only logged.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(
            Kind::Internal,
            "The server has either erred or is incapable of performing the requested operation.",
        )
        .because(cause)
    }

    /// Returns the error of a failed system call: `Unavailable` if the process or the system has no
    /// file descriptors left, otherwise `Internal`.
    pub fn of_io(cause: io::Error) -> Self {
        match cause.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => Self::new(
                Kind::Unavailable {
                    retry_after: DESCRIPTORS_RETRY_AFTER,
                },
                "The server can open no more files and connections. Try again later.",
            )
            .because(cause),
            _ => Self::internal(cause),
        }
    }

    /// Adds the cause for the log.
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the message for the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The cause for the log, with its own causes, in one line.
    pub fn cause(&self) -> Option<String> {
        self.cause.as_deref().map(|cause| chain(cause))
    }
}

/// Returns an error and its causes in one line, for the log.
///
/// A cause whose text its parent contains already is left out: some libraries print their source in
/// `Display` and return it from `source` too.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    line
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        match self.cause() {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause
            .as_deref()
            .map(|cause| cause as &(dyn StdError + 'static))
    }
}
