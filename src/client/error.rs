//! What can go wrong between a client and a server, in words that say what to do.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use http::StatusCode;

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The image is not what the server says it is.
    #[error(
        "The data do not match the image's checksum: the server says {expected}, the bytes \
         have {actual}. Try again; if it happens again, the image is damaged."
    )]
    ChecksumMismatch {
        /// MD5 in hexadecimal, as the server states it.
        expected: String,
        /// MD5 in hexadecimal of the bytes that were transferred.
        actual: String,
    },
    /// 409: it does not fit the state of the image.
    #[error("{message}")]
    Conflict {
        /// The server's words.
        message: String,
    },
    /// No connection could be made.
    #[error("Failed to connect to the Glance API server {address}. Is the server running?")]
    Connect {
        /// `HOST:PORT`.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke before the answer was complete.
    #[error("The connection to {address} broke: {source}.")]
    Disconnected {
        /// `HOST:PORT`.
        address: String,
        /// How it broke.
        source: io::Error,
    },
    /// 403: the caller may not do this.
    #[error("{message}")]
    Forbidden {
        /// The server's words.
        message: String,
    },
    /// What was asked for cannot be said in a request; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// A local file or stream failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with what.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// 401: the server does not know who is asking.
    #[error("{message} Give a valid token (--os-auth-token or OS_AUTH_TOKEN).")]
    NotAuthenticated {
        /// The server's words.
        message: String,
    },
    /// 404: no such thing, or not for this caller.
    #[error("{message}")]
    NotFound {
        /// The server's words.
        message: String,
    },
    /// The peer does not speak as a Glance server does.
    #[error("The server's answer makes no sense: {0}")]
    Protocol(String),
    /// The data ended before they were complete.
    #[error(
        "The connection was cut after {received_bytes} of {expected_bytes} bytes of the image. \
         Run the same command again to go on from there."
    )]
    ShortBody {
        /// Bytes that came.
        received_bytes: u64,
        /// Bytes that were promised.
        expected_bytes: u64,
    },
    /// Another refusal.
    #[error("{code}: {message}")]
    Status {
        /// The HTTP status.
        code: StatusCode,
        /// The server's words.
        message: String,
    },
    /// Nothing moved for too long.
    #[error("The server {address} made no progress for {} seconds.", .limit.as_secs())]
    Timeout {
        /// `HOST:PORT`.
        address: String,
        /// How long was waited.
        limit: Duration,
    },
}

/// A result with a client's error.
pub type Result<T> = std::result::Result<T, ClientError>;

impl ClientError {
    /// The refusal an HTTP status stands for.
    pub(super) fn from_status(code: StatusCode, message: String) -> Self {
        match code {
            StatusCode::UNAUTHORIZED => Self::NotAuthenticated { message },
            StatusCode::FORBIDDEN => Self::Forbidden { message },
            StatusCode::NOT_FOUND => Self::NotFound { message },
            StatusCode::CONFLICT => Self::Conflict { message },
            _ => Self::Status { code, message },
        }
    }

    /// A failure of a local file or stream.
    pub(super) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            doing: doing.into(),
            source,
        }
    }

    /// Whether the same request may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Disconnected { .. }
            | Self::ShortBody { .. }
            | Self::Timeout { .. } => true,
            Self::Status { code, .. } => matches!(code.as_u16(), 502..=504),
            _ => false,
        }
    }
}

impl From<crate::error::Error> for ClientError {
    fn from(error: crate::error::Error) -> Self {
        Self::Invalid(error.message().to_owned())
    }
}

/// The I/O error under an error of the HTTP library, if there is one.
pub(super) fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
