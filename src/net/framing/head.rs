//! Validation of request heads before hyper reads them.
//!
//! hyper is lenient where two servers in a row must agree: it drops one of Content-Length and
//! Transfer-Encoding, joins repeated Content-Length lines, and accepts `gzip, chunked`, lines
//! that end in a bare LF, and requests with no Host or two. Each of these can smuggle a second
//! request past a proxy in front (RFC 9112, 3.2 and 6.3). hyper rejects other heads by itself,
//! with an empty response that no log mentions. Each head is therefore parsed here with hyper's
//! parser (httparse) and the same limits: hyper accepts every head that is valid here, and
//! understands it in the same way.

use std::mem::MaybeUninit;

use http::Uri;
use httparse::{Header, Request, Status};

use super::authority::Authority;
use super::body::BodyLength;
use super::error::{FramingError, MAX_LENGTH_DIGITS};

/// Most headers of a request. Glance's quota of 128 properties has to fit in beside the others.
pub(in crate::net) const MAX_HEADERS: usize = 256;

/// Longest target that hyper accepts, in bytes.
const MAX_TARGET_BYTES: usize = u16::MAX as usize - 1;

/// Longest body that hyper accepts, in bytes.
const MAX_BODY_BYTES: u64 = u64::MAX - 2;

/// Headers that the substitute for a rejected head keeps: they determine the format of the error
/// response and the request id.
const KEPT_HEADERS: [&str; 2] = ["accept", "x-openstack-request-id"];

/// Longest value of a kept header, in bytes. The substitute must fit into hyper's limit.
const MAX_KEPT_BYTES: usize = 512;

/// Result of validating the first bytes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Head {
    /// The beginning of a head; more bytes are needed.
    Partial,
    /// A valid head: its length in bytes, and the length of its body.
    Valid { bytes: usize, body: BodyLength },
    /// A head with an error, and a valid head that hyper receives in its place.
    Rejected {
        error: FramingError,
        substitute: Vec<u8>,
    },
}

/// Validates a head of at most `max_bytes`.
pub(super) fn validate(bytes: &[u8], max_bytes: usize) -> Head {
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let mut request = Request::new(&mut []);
    let error = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Partial) if bytes.len() < max_bytes => return Head::Partial,
        Ok(Status::Partial) => too_large(bytes),
        Err(error) => malformed(bytes, &request, error),
        Ok(Status::Complete(head_bytes)) if head_bytes > max_bytes => too_large(bytes),
        Ok(Status::Complete(head_bytes)) => match check(&bytes[..head_bytes], &request) {
            Ok(body) => {
                return Head::Valid {
                    bytes: head_bytes,
                    body,
                };
            }
            Err(error) => error,
        },
    };
    // A head that was not parsed to its end has no headers here.
    Head::Rejected {
        error,
        substitute: substitute(request.method, request.version, request.headers),
    }
}

/// Returns a valid head that hyper receives in place of a rejected one.
///
/// The method is HEAD if the rejected request used it, because that decides whether the response
/// has a body.
pub(super) fn substitute(
    method: Option<&str>,
    version: Option<u8>,
    headers: &[Header<'_>],
) -> Vec<u8> {
    let method = if method == Some("HEAD") {
        "HEAD"
    } else {
        "GET"
    };
    let minor = version.unwrap_or(1).min(1);
    let mut head = format!("{method} / HTTP/1.{minor}\r\nConnection: close\r\n").into_bytes();
    for name in KEPT_HEADERS {
        let is_kept = |header: &&Header<'_>| {
            header.name.eq_ignore_ascii_case(name) && header.value.len() <= MAX_KEPT_BYTES
        };
        if let Some(header) = headers.iter().find(is_kept) {
            head.extend_from_slice(header.name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(header.value);
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn too_large(bytes: &[u8]) -> FramingError {
    if memchr::memchr(b'\n', bytes).is_none() {
        FramingError::TargetTooLong
    } else {
        FramingError::HeadTooLarge
    }
}

fn malformed(bytes: &[u8], request: &Request<'_, '_>, error: httparse::Error) -> FramingError {
    match error {
        httparse::Error::TooManyHeaders => FramingError::TooManyHeaders,
        httparse::Error::Version if names_a_version(bytes, request) => FramingError::Version,
        _ => FramingError::Malformed,
    }
}

/// Returns true if the request line has `HTTP/` at the position of the version. The parser stops
/// at the first invalid byte, so the rest of the line may not have been received.
fn names_a_version(bytes: &[u8], request: &Request<'_, '_>) -> bool {
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return false;
    };
    let version = bytes.get(method.len() + target.len() + 2..);
    version.is_some_and(|version| version.starts_with(b"HTTP/"))
}

/// Checks a head that the parser accepted. Returns the length of its body.
///
/// # Errors
/// The framing error that makes the head ambiguous.
fn check(head: &[u8], request: &Request<'_, '_>) -> Result<BodyLength, FramingError> {
    let has_bare_line_feed =
        memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r');
    if has_bare_line_feed {
        return Err(FramingError::BareLineFeed);
    }
    let (method, target) = (
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
    );
    check_target(method, target)?;
    let is_http_11 = request.version == Some(1);
    let framing = Framing::of(request.headers)?;
    if framing.hosts > 1 || (is_http_11 && framing.hosts == 0) {
        return Err(FramingError::HostCount);
    }
    if framing.is_chunked {
        if !is_http_11 {
            return Err(FramingError::TransferEncoding);
        }
        return Ok(BodyLength::Chunked);
    }
    Ok(match framing.content_length {
        None | Some(0) => BodyLength::None,
        Some(bytes) => BodyLength::Sized(bytes),
    })
}

fn check_target(method: &str, target: &str) -> Result<(), FramingError> {
    if target.len() > MAX_TARGET_BYTES {
        return Err(FramingError::TargetTooLong);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%?&=:,+@".contains(&byte);
    if target.starts_with('/') && target.bytes().all(is_plain) {
        return Ok(());
    }
    let uri: Uri = target.parse().map_err(|_| FramingError::Target)?;
    let Some(authority) = uri.authority() else {
        return Ok(());
    };
    let is_sound = match uri.scheme_str() {
        // The authority-form is for CONNECT alone (RFC 9112, 3.2.3).
        None => method == "CONNECT",
        Some("http" | "https") => Authority::is_valid(authority.as_str().as_bytes()),
        Some(_) => false,
    };
    if is_sound {
        Ok(())
    } else {
        Err(FramingError::Target)
    }
}

/// The headers that determine the framing.
#[derive(Debug, Default)]
struct Framing {
    hosts: usize,
    content_length: Option<u64>,
    is_chunked: bool,
}

impl Framing {
    fn of(headers: &[Header<'_>]) -> Result<Self, FramingError> {
        let mut framing = Self::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("host") {
                framing.hosts += 1;
                // An empty Host is valid for targets without an authority (RFC 9112, 3.2).
                if !header.value.is_empty() && !Authority::is_valid(header.value) {
                    return Err(FramingError::Host);
                }
            } else if is("content-length") {
                let earlier = framing.content_length.replace(decimal(header.value)?);
                if earlier.is_some() {
                    return Err(FramingError::RepeatedContentLength);
                }
            } else if is("transfer-encoding") {
                if framing.is_chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(FramingError::TransferEncoding);
                }
                framing.is_chunked = true;
            }
        }
        if framing.is_chunked && framing.content_length.is_some() {
            return Err(FramingError::TwoLengths);
        }
        Ok(framing)
    }
}

fn decimal(text: &[u8]) -> Result<u64, FramingError> {
    let is_number = (1..=MAX_LENGTH_DIGITS).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_digit());
    let text = std::str::from_utf8(text).ok().filter(|_| is_number);
    let number = text.and_then(|text| text.parse().ok());
    number
        .filter(|bytes| *bytes <= MAX_BODY_BYTES)
        .ok_or(FramingError::ContentLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BYTES: usize = 1000;

    fn error_of(head: &str) -> Option<FramingError> {
        match validate(head.as_bytes(), MAX_BYTES) {
            Head::Rejected { error, substitute } => {
                let result = validate(&substitute, MAX_BYTES);
                // hyper does not look for Host.
                let hosts = Head::Rejected {
                    error: FramingError::HostCount,
                    substitute: substitute.clone(),
                };
                let whole = Head::Valid {
                    bytes: substitute.len(),
                    body: BodyLength::None,
                };
                assert!(result == hosts || result == whole, "{result:?}");
                Some(error)
            }
            _ => None,
        }
    }

    fn put(lines: &str) -> String {
        format!("PUT /v1/images/x HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
    }

    fn body(head: &str) -> BodyLength {
        match validate(head.as_bytes(), MAX_BYTES) {
            Head::Valid { bytes, body } if bytes == head.len() => body,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    #[test]
    fn valid_heads_determine_the_body_length() {
        assert_eq!(body(&put("")), BodyLength::None);
        assert_eq!(body(&put("Content-Length: 0\r\n")), BodyLength::None);
        assert_eq!(body(&put("content-length:007\r\n")), BodyLength::Sized(7));
        assert_eq!(
            body(&put("Content-Length: 18446744073709551613\r\n")),
            BodyLength::Sized(MAX_BODY_BYTES)
        );
        assert_eq!(
            body(&put("transfer-encoding: Chunked\r\n")),
            BodyLength::Chunked
        );
        assert_eq!(body("GET / HTTP/1.0\r\n\r\n"), BodyLength::None);
        for target in [
            "/a?b=c%20d",
            "*",
            "http://other:80/v1?x",
            "HTTP://other",
            "/[{x}]",
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost:\r\n\r\n");
            assert_eq!(body(&head), BodyLength::None, "{target}");
        }
        assert_eq!(
            body("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"),
            BodyLength::None
        );
        let head = put("");
        for end in 1..head.len() {
            assert_eq!(validate(&head.as_bytes()[..end], MAX_BYTES), Head::Partial);
        }
    }

    #[test]
    fn every_ambiguity_is_found() {
        let zeros = format!("Content-Length: {}5\r\n", "0".repeat(80));
        for (lines, wanted) in [
            (
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                FramingError::TwoLengths,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                FramingError::TwoLengths,
            ),
            (
                "Content-Length: 4\r\nContent-Length: 4\r\n",
                FramingError::RepeatedContentLength,
            ),
            ("Content-Length: +4\r\n", FramingError::ContentLength),
            ("Content-Length: 4, 4\r\n", FramingError::ContentLength),
            ("Content-Length:\r\n", FramingError::ContentLength),
            (
                "Content-Length: 18446744073709551614\r\n",
                FramingError::ContentLength,
            ),
            (zeros.as_str(), FramingError::ContentLength),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                FramingError::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked,\r\n",
                FramingError::TransferEncoding,
            ),
            ("Transfer-Encoding:\r\n", FramingError::TransferEncoding),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                FramingError::TransferEncoding,
            ),
            ("Host: other\r\n", FramingError::HostCount),
            ("X: y\nZ: z\r\n", FramingError::BareLineFeed),
            ("X : y\r\n", FramingError::Malformed),
            ("X: y\r\n z\r\n", FramingError::Malformed),
            ("X: y\rz\r\n", FramingError::Malformed),
            ("nothing\r\n", FramingError::Malformed),
        ] {
            assert_eq!(error_of(&put(lines)), Some(wanted), "{lines:?}");
        }
        for (head, wanted) in [
            ("GET / HTTP/1.1\r\n\r\n", FramingError::HostCount),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", FramingError::Host),
            (
                "GET / HTTP/1.0\r\nHost: h:80:80\r\n\r\n",
                FramingError::Host,
            ),
            ("GET / HTTP/1.1\nHost: h\n\n", FramingError::BareLineFeed),
            (
                "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                FramingError::TransferEncoding,
            ),
            ("GET / HTTP/2.0\r\n\r\n", FramingError::Version),
            ("GET / HTTP/3", FramingError::Version),
            ("GET / HTPP/1.1\r\n\r\n", FramingError::Malformed),
            ("GET  / HTTP/1.1\r\n\r\n", FramingError::Malformed),
            ("GET /\r\n\r\n", FramingError::Malformed),
            (
                "GET /?x=<y> HTTP/1.1\r\nHost: h\r\n\r\n",
                FramingError::Target,
            ),
            ("GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", FramingError::Target),
            (
                "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
                FramingError::Target,
            ),
            (
                "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
                FramingError::Target,
            ),
            ("\u{16}\u{3}\u{1}\r\n\r\n", FramingError::Malformed),
        ] {
            assert_eq!(error_of(head), Some(wanted), "{head:?}");
        }
    }

    #[test]
    fn exceeded_limits_have_their_own_errors() {
        let long = "x".repeat(MAX_BYTES);
        assert_eq!(
            error_of(&format!("GET /{long}")),
            Some(FramingError::TargetTooLong)
        );
        assert_eq!(
            error_of(&put(&format!("X: {long}\r\n"))),
            Some(FramingError::HeadTooLarge)
        );
        let lines: String = (0..MAX_HEADERS).map(|n| format!("X{n}: y\r\n")).collect();
        let Head::Rejected { error, .. } = validate(put(&lines).as_bytes(), 1 << 20) else {
            panic!("taken");
        };
        assert_eq!(error, FramingError::TooManyHeaders);
    }

    #[test]
    fn a_substitute_keeps_what_the_response_needs() {
        let long = "y".repeat(MAX_KEPT_BYTES + 1);
        let head = format!(
            "HEAD / HTTP/1.0\r\nAccept: a/b\r\nAccept: {long}\r\nX-Openstack-Request-Id: c\r\n\
             X: y\r\nHost: ?\r\n\r\n"
        );
        let Head::Rejected { substitute, .. } = validate(head.as_bytes(), MAX_BYTES) else {
            panic!("taken");
        };
        assert_eq!(
            String::from_utf8(substitute).unwrap(),
            "HEAD / HTTP/1.0\r\nConnection: close\r\nAccept: a/b\r\nX-Openstack-Request-Id: c\r\n\r\n"
        );
    }
}
