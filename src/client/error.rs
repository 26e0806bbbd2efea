//! Errors of the client. Each text says what failed and what the user can do; none contains a
//! token, a password or a URL with credentials. The command line maps them to exit codes.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::http_client::HttpClientError;
use crate::keystone::KeystoneError;

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The transferred data differ from the image.
    #[error(
        "The data do not match the image's checksum: the server states {expected}, the data have \
         {actual}. Try again; if the error persists, the image is damaged."
    )]
    ChecksumMismatch {
        /// MD5 in hexadecimal, as stated by the server.
        expected: String,
        /// MD5 in hexadecimal of the transferred bytes.
        actual: String,
    },
    /// 409: the request conflicts with the state of the image.
    #[error("{message}")]
    Conflict {
        /// The server's message.
        message: String,
    },
    /// No connection could be made.
    #[error("Failed to connect to the Glance API server {address}. Is the server running?")]
    Connect {
        /// `HOST:PORT`.
        address: String,
        /// The cause.
        source: io::Error,
    },
    /// The connection ended before the response was complete.
    #[error("The connection to {address} was lost: {source}.")]
    Disconnected {
        /// `HOST:PORT`.
        address: String,
        /// The cause.
        source: io::Error,
    },
    /// 403: the caller lacks the permission.
    #[error("{message}")]
    Forbidden {
        /// The server's message.
        message: String,
    },
    /// The request is invalid; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// A local file or stream failed.
    #[error("{operation}: {source}")]
    Io {
        /// The failed operation and its object.
        operation: String,
        /// The cause.
        source: io::Error,
    },
    /// Keystone issued no token.
    #[error("{}", login_message(address, source))]
    Login {
        /// `HOST:PORT` of Keystone.
        address: String,
        /// The cause.
        source: Arc<KeystoneError>,
    },
    /// 401: the request has no valid token.
    #[error(
        "{message} Give a valid token (--os-auth-token or OS_AUTH_TOKEN) or log in (OS_CLOUD, or \
         OS_AUTH_URL and OS_USERNAME)."
    )]
    NotAuthenticated {
        /// The server's message.
        message: String,
    },
    /// 404: the object does not exist or is not visible to the caller.
    #[error("{message}")]
    NotFound {
        /// The server's message.
        message: String,
    },
    /// The response is not one of a Glance server.
    #[error("The server's response is invalid: {0}")]
    Protocol(String),
    /// The proxy refused to connect to the server.
    #[error(
        "The proxy refused to connect to {address} (status {status}). Check https_proxy and no_proxy."
    )]
    Proxy {
        /// `HOST:PORT` of the server.
        address: String,
        /// The proxy's HTTP status.
        status: u16,
    },
    /// The data ended before they were complete.
    #[error(
        "The connection was lost after {received_bytes} of {expected_bytes} bytes of the image. \
         Run the same command again to resume the download."
    )]
    ShortBody {
        /// Received bytes.
        received_bytes: u64,
        /// Announced bytes.
        expected_bytes: u64,
    },
    /// Another refusal.
    #[error("{code}: {message}")]
    Status {
        /// The HTTP status.
        code: StatusCode,
        /// The server's message.
        message: String,
    },
    /// Nothing moved within the progress timeout.
    #[error("The server {address} made no progress for {} seconds.", .limit.as_secs())]
    Timeout {
        /// `HOST:PORT`.
        address: String,
        /// The timeout.
        limit: Duration,
    },
    /// The TLS handshake failed.
    #[error(
        "Cannot establish a TLS connection to {address}: {source}. If a private authority has \
         signed the server's certificate, name its file with --os-cacert."
    )]
    Tls {
        /// `HOST:PORT`.
        address: String,
        /// The cause.
        source: io::Error,
    },
}

/// A result with a client's error.
pub type Result<T> = std::result::Result<T, ClientError>;

impl ClientError {
    /// Returns the error that an HTTP status stands for.
    pub(super) fn from_status(code: StatusCode, message: String) -> Self {
        match code {
            StatusCode::UNAUTHORIZED => Self::NotAuthenticated { message },
            StatusCode::FORBIDDEN => Self::Forbidden { message },
            StatusCode::NOT_FOUND => Self::NotFound { message },
            StatusCode::CONFLICT => Self::Conflict { message },
            _ => Self::Status { code, message },
        }
    }

    /// Returns the error of a failed request to the server at `address` (`HOST:PORT`).
    pub(super) fn of_http(error: HttpClientError, address: &str) -> Self {
        let address = address.to_owned();
        match error {
            HttpClientError::Resolve(source) | HttpClientError::Connect(source) => {
                Self::Connect { address, source }
            }
            HttpClientError::Proxy(status) => Self::Proxy { address, status },
            HttpClientError::Tls(source) => Self::Tls { address, source },
            HttpClientError::Silent(limit) => Self::Timeout { address, limit },
            HttpClientError::Http(error) => Self::of_hyper(&error, address),
            HttpClientError::Body(error) => match error.downcast_ref() {
                Some(error) => Self::of_hyper(error, address),
                None => Self::Protocol(error.to_string()),
            },
            HttpClientError::Closed => Self::closed(address),
            HttpClientError::TooMuch => Self::Protocol("it is too long".to_owned()),
            HttpClientError::Address
            | HttpClientError::Forbidden
            | HttpClientError::TlsSetup(_) => {
                Self::Invalid(format!("Cannot send a request to {address}: {error}."))
            }
        }
    }

    fn of_hyper(error: &hyper::Error, address: String) -> Self {
        if let Some(cause) = io_cause(error) {
            let source = io::Error::new(cause.kind(), cause.to_string());
            return Self::Disconnected { address, source };
        }
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            return Self::closed(address);
        }
        Self::Protocol(error.to_string())
    }

    fn closed(address: String) -> Self {
        let text = "the server closed it before its response was complete";
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, text);
        Self::Disconnected { address, source }
    }

    /// Returns the error of a failed operation on a local file or stream.
    pub(super) fn io(operation: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            operation: operation.into(),
            source,
        }
    }

    /// Returns true if the same request may succeed a little later.
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

fn login_message(address: &str, error: &KeystoneError) -> String {
    match error {
        KeystoneError::Refused => format!(
            "Keystone at {address} refused the login. Check the user, the password, the project \
             and their domains."
        ),
        error => format!(
            "Cannot log in at Keystone {address}: {}.",
            with_causes(error)
        ),
    }
}

/// Returns the text of an error and of its causes in one line.
fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// Returns the I/O error among the causes of an error, if there is one.
fn io_cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// Iterates over an error and its causes, outermost first.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
