//! Errors of HTTP framing: requests that are rejected for their form (RFC 9112) before any
//! handler sees them. The messages are sent to the client and logged.

use http::StatusCode;

/// An error in the form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("A line of the request ends in a line feed without a carriage return.")]
    BareLineFeed,
    #[error("The request has both Content-Length and Transfer-Encoding.")]
    TwoLengths,
    #[error("The request has more than one Content-Length.")]
    RepeatedContentLength,
    #[error("Content-Length is not a decimal number of at most {MAX_LENGTH_DIGITS} digits.")]
    ContentLength,
    #[error("The only Transfer-Encoding served is chunked, stated once, in HTTP/1.1.")]
    TransferEncoding,
    #[error("An HTTP/1.1 request has exactly one Host.")]
    HostCount,
    #[error("Host must be a host name or an address, with a port or without.")]
    Host,
    #[error("The target of the request is neither a path nor an http URL.")]
    Target,
    #[error("The target of the request is too long.")]
    TargetTooLong,
    #[error("The request is not well-formed HTTP/1.1.")]
    Malformed,
    #[error("The only versions of HTTP served are 1.1 and 1.0.")]
    Version,
    #[error("The head of the request is too large.")]
    HeadTooLarge,
    #[error("The request has too many headers.")]
    TooManyHeaders,
    #[error("The head of the request came too slowly.")]
    HeadTimeout,
    #[error("The connection was closed before the head of the request was complete.")]
    HeadCutShort,
    /// hyper found the end of a head that was not validated. No known input causes this.
    #[error("The end of the request is uncertain.")]
    NotValidated,
}

/// Most digits of a Content-Length: 2^64 has 20.
pub(super) const MAX_LENGTH_DIGITS: usize = 20;

impl FramingError {
    /// Returns the status of the response.
    pub fn status(self) -> StatusCode {
        match self {
            FramingError::TargetTooLong => StatusCode::URI_TOO_LONG,
            FramingError::HeadTooLarge | FramingError::TooManyHeaders => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            FramingError::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            FramingError::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns true if the client may still be sending. Closing the connection at once could
    /// then destroy the response (RFC 9112, 9.6).
    pub(super) fn leaves_more_to_come(self) -> bool {
        !matches!(self, FramingError::HeadTimeout | FramingError::HeadCutShort)
    }
}

/// A request that is rejected. Its response closes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRequest {
    /// The error.
    pub error: FramingError,
    /// The beginning of the request line as the client sent it, for the log.
    pub request_line: String,
}
