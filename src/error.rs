//! The one error of the domain.
//!
//! An error has two faces. The outer message goes to the client: it says what went wrong
//! and with what, and never holds a secret, a path or a backend's words. The inner cause
//! goes to the log. What HTTP makes of a [`Kind`] is the business of the doors.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// When it is worth trying again while descriptors are missing: transfers that hold some end all
/// the time.
const DESCRIPTORS_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What kind of failure it is; a door translates this into its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The request is not well formed or contradicts itself.
    Invalid,
    /// Nobody knows who the caller is, or not well enough.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// There is no such thing, or the caller may not know that there is.
    NotFound,
    /// It does not fit the state the image is in.
    Conflict,
    /// The store takes no data.
    StoreReadOnly,
    /// The image was deleted while its data were arriving.
    DeletedMeanwhile,
    /// A condition that the request puts on the image is false.
    PreconditionFailed,
    /// A limit was passed, or the store is full.
    TooLarge,
    /// The sender made no progress for too long.
    Timeout,
    /// The sender went away.
    Disconnected,
    /// Somebody else changed the record first; the caller decides what that means.
    Stale,
    /// The data can be sent from their first byte on alone.
    WholeOnly,
    /// It may work later.
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// A fault of this node.
    Internal,
}

/// An error of the domain: a kind, words for the client, a cause for the log.
pub struct Error {
    kind: Kind,
    message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result with the domain's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of this kind with words for the client.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            cause: None,
        }
    }

    /// A fault of this node: the client learns no more than that there is one.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(
            Kind::Internal,
            "The server has either erred or is incapable of performing the requested operation.",
        )
        .because(cause)
    }

    /// A failed call to the system: `Unavailable` when the process or the system has no
    /// descriptors left, else a fault of this node.
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

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The words for the client.
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
