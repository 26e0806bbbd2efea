//! Interprets a web server's response: which bytes of which version of an object it contains.

use std::time::Duration;

use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, LAST_MODIFIED,
};
use http::{HeaderName, HeaderValue, StatusCode, response};

use crate::error::{Error, Kind, Result};

/// `Retry-After` for clients when the server cannot be used.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Age from which a `Last-Modified` time identifies a version: within the same second, an object
/// could change again unnoticed (RFC 9110, section 8.8.2.2).
const MIN_STRONG_AGE: Duration = Duration::from_secs(60);

/// The range of an object that a response contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyRange {
    /// Offset of the first byte.
    pub(super) offset: u64,
    /// Length of the range in bytes.
    pub(super) len: u64,
    /// Length of the whole object in bytes.
    pub(super) total: u64,
    /// True if the response states its length; false if it was assumed.
    pub(super) is_stated: bool,
}

/// Returns the range that a response to GET contains. If the server states no length (chunked, or
/// until the connection closes), the whole object is assumed to have `assumed_bytes`.
///
/// # Errors
/// `NotFound` if there is no such object; `Internal` if the response does not contain its bytes as
/// they are; `Unavailable` for any other status.
pub(super) fn body_range(head: &response::Parts, assumed_bytes: Option<u64>) -> Result<BodyRange> {
    match head.status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT if is_encoded(&head.headers) => Err(
            Error::internal("the server sent the object with a Content-Encoding"),
        ),
        StatusCode::OK => match (number(&head.headers, CONTENT_LENGTH), assumed_bytes) {
            (Some(len), _) => Ok(BodyRange::whole(len, true)),
            (None, Some(len)) => Ok(BodyRange::whole(len, false)),
            (None, None) => Err(Error::internal("the server states no length")),
        },
        StatusCode::PARTIAL_CONTENT => {
            let range = text(&head.headers, CONTENT_RANGE).and_then(parse_content_range);
            range
                .ok_or_else(|| Error::internal("the server sent 206 without a valid Content-Range"))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(not_found()),
        StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => {
            Err(Error::internal(
                "the object has changed: the server refuses the range or the condition",
            ))
        }
        status => Err(unavailable(format!(
            "the server answered {}",
            status.as_u16()
        ))),
    }
}

impl BodyRange {
    fn whole(len: u64, is_stated: bool) -> Self {
        Self {
            offset: 0,
            len,
            total: len,
            is_stated,
        }
    }
}

/// Returns the length in a response to HEAD, if any. A length of 0 is not reliable: servers that
/// describe images in headers (Glance) answer every HEAD with it.
pub(super) fn length_by_head(head: &response::Parts) -> Result<Option<u64>> {
    match head.status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(not_found()),
        StatusCode::OK if !is_encoded(&head.headers) => Ok(number(&head.headers, CONTENT_LENGTH)),
        _ => Ok(None),
    }
}

/// Returns the length in a response to GET of the first byte. `by_head` is the result of HEAD.
pub(super) fn length_by_range(head: &response::Parts, by_head: Option<u64>) -> Result<u64> {
    let unsatisfied = text(&head.headers, CONTENT_RANGE).and_then(|range| {
        let length = range.strip_prefix("bytes */")?;
        parse_number(length)
    });
    match (head.status, unsatisfied.or(by_head)) {
        // An empty object has no first byte.
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(0)) => Ok(0),
        _ => Ok(body_range(head, None)?.total),
    }
}

/// A validator that distinguishes versions of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectVersion {
    header: HeaderName,
    value: HeaderValue,
}

impl ObjectVersion {
    /// Returns the version in a response, or `None` if the server gives none that is strong.
    pub(super) fn of(head: &response::Parts) -> Option<Self> {
        let by = |header: HeaderName| {
            let value = head.headers.get(&header)?.clone();
            Some(Self { header, value })
        };
        match text(&head.headers, ETAG) {
            Some(etag) if etag.starts_with("W/") => None,
            Some(_) => by(ETAG),
            None if is_strong_date(&head.headers) => by(LAST_MODIFIED),
            None => None,
        }
    }

    /// Returns the version as a value of `If-Range`, if it is valid there. Some servers send entity
    /// tags without quotes (Glance, Swift), which a strict server would parse as a date.
    pub(super) fn as_condition(&self) -> Option<&HeaderValue> {
        let is_date = self.header == LAST_MODIFIED;
        let is_quoted = self.value.as_bytes().starts_with(b"\"");
        (is_date || is_quoted).then_some(&self.value)
    }
}

/// Returns true if the object was last changed long enough before the response that a second change
/// would have another `Last-Modified` time.
fn is_strong_date(headers: &HeaderMap) -> bool {
    let time = |header| httpdate::parse_http_date(text(headers, header)?).ok();
    let (Some(changed), Some(now)) = (time(LAST_MODIFIED), time(DATE)) else {
        return false;
    };
    now.duration_since(changed)
        .is_ok_and(|age| age >= MIN_STRONG_AGE)
}

/// Parses `bytes 0-9/10`; the total length must be known.
fn parse_content_range(text: &str) -> Option<BodyRange> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (offset, last, total) = (
        parse_number(first)?,
        parse_number(last)?,
        parse_number(total)?,
    );
    (offset <= last && last < total).then(|| BodyRange {
        offset,
        len: last - offset + 1,
        total,
        is_stated: true,
    })
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn number(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    parse_number(text(headers, name)?)
}

/// Parses digits only, unlike `str::parse`, which accepts a sign.
fn parse_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn not_found() -> Error {
    Error::new(Kind::NotFound, "The image's data are not in the store.")
}

/// Creates the error for a server that cannot be used. Clients always receive the same text; the
/// cause is only logged, so that users cannot explore the operator's network.
pub(super) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let retry_after = RETRY_AFTER;
    Error::new(
        Kind::Unavailable { retry_after },
        "The server that holds the image's data cannot be asked for them.",
    )
    .because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn head(status: u16, headers: &[(&'static str, &str)]) -> response::Parts {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn content_ranges_are_parsed_strictly() {
        let range_of =
            |status, headers: &[_]| body_range(&head(status, headers), None).map_err(|e| e.kind());
        let part = BodyRange {
            offset: 5,
            len: 3,
            total: 10,
            is_stated: true,
        };
        assert_eq!(
            range_of(206, &[("content-range", "bytes 5-7/10")]),
            Ok(part)
        );
        let whole = BodyRange::whole(10, true);
        assert_eq!(range_of(200, &[("content-length", "10")]), Ok(whole));
        assert_eq!(
            range_of(
                200,
                &[("content-length", "10"), ("content-encoding", "identity")]
            ),
            Ok(whole)
        );
        for range in [
            "bytes 7-5/10",
            "bytes 5-10/10",
            "bytes 5-7/*",
            "bytes */10",
            "bytes +5-7/10",
            "octets 5-7/10",
            "bytes 5-7",
            "",
        ] {
            let response = range_of(206, &[("content-range", range)]);
            assert_eq!(response, Err(Kind::Internal), "{range}");
        }
        assert_eq!(range_of(206, &[]), Err(Kind::Internal));
        assert_eq!(range_of(200, &[]), Err(Kind::Internal));
        let assumed = super::body_range(&head(200, &[]), Some(10));
        assert_eq!(assumed.unwrap(), BodyRange::whole(10, false));
        assert_eq!(
            range_of(
                200,
                &[("content-length", "10"), ("content-encoding", "gzip")]
            ),
            Err(Kind::Internal)
        );
    }

    #[test]
    fn status_codes_map_to_error_kinds() {
        for status in [404, 410] {
            let kind = body_range(&head(status, &[]), None).unwrap_err().kind();
            assert_eq!(kind, Kind::NotFound);
        }
        for status in [412, 416] {
            let kind = body_range(&head(status, &[]), None).unwrap_err().kind();
            assert_eq!(kind, Kind::Internal);
        }
        for status in [201, 204, 304, 401, 403, 429, 500, 503] {
            let kind = body_range(&head(status, &[]), None).unwrap_err().kind();
            assert!(matches!(kind, Kind::Unavailable { .. }), "{status}");
        }
    }

    #[test]
    fn length_is_taken_from_head_or_from_get_of_first_byte() {
        let by_head = |status, length| length_by_head(&head(status, &[("content-length", length)]));
        assert_eq!(by_head(200, "10").unwrap(), Some(10));
        assert_eq!(by_head(200, "0").unwrap(), Some(0));
        assert_eq!(by_head(405, "10").unwrap(), None);
        assert_eq!(by_head(404, "10").unwrap_err().kind(), Kind::NotFound);
        let by_range = |status, headers: &[_]| length_by_range(&head(status, headers), None);
        let range = [("content-range", "bytes 0-0/10")];
        assert_eq!(by_range(206, &range).unwrap(), 10);
        assert_eq!(by_range(200, &[("content-length", "7")]).unwrap(), 7);
        assert_eq!(by_range(416, &[("content-range", "bytes */0")]).unwrap(), 0);
        assert!(by_range(416, &[("content-range", "bytes */7")]).is_err());
        assert!(by_range(416, &[]).is_err());
        assert_eq!(length_by_range(&head(416, &[]), Some(0)).unwrap(), 0);
    }

    #[test]
    fn only_strong_validators_identify_a_version() {
        let old = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        let version = |headers: &[_]| ObjectVersion::of(&head(200, headers));
        let conditional = |headers: &[_]| version(headers).unwrap().as_condition().is_some();
        assert!(conditional(&[("etag", "\"a\""), old]));
        assert!(!conditional(&[(
            "etag",
            "d41d8cd98f00b204e9800998ecf8427e"
        )]));
        assert_eq!(version(&[("etag", "W/\"a\""), old]), None);
        assert_eq!(version(&[old]), None);
        assert!(conditional(&[
            old,
            ("date", "Sun, 06 Nov 1994 08:50:37 GMT")
        ]));
        assert_eq!(
            version(&[old, ("date", "Sun, 06 Nov 1994 08:50:36 GMT")]),
            None
        );
        assert_ne!(version(&[("etag", "\"a\"")]), version(&[("etag", "\"b\"")]));
    }
}
