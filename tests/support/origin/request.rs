//! Requests to a scripted origin: their parsing, and the part of the content that they select.

use std::io::{self, ErrorKind};
use std::ops::Range;

use super::Seen;
use super::answer::{Answer, Ranges};

/// The part of the content to send.
pub(super) enum Part {
    Whole,
    Range(Range<u64>),
    /// Nothing; the response has a status only.
    Status(u16),
}

/// Returns the part of the content for a request (RFC 9110, sections 13.1 and 14.2).
pub(super) fn part(answer: &Answer, seen: &Seen, size_bytes: u64) -> Part {
    if let Some(status) = answer.status {
        return Part::Status(status);
    }
    if seen
        .header("if-match")
        .is_some_and(|etag| etag != answer.etag)
    {
        return Part::Status(412);
    }
    let is_same = seen
        .header("if-range")
        .is_none_or(|etag| etag == answer.etag);
    let asked = seen.header("range").filter(|_| is_same);
    match (asked, answer.ranges) {
        (None, _) | (_, Ranges::Ignored) => Part::Whole,
        (Some(_), Ranges::From(start)) => Part::Range(start..size_bytes),
        (Some(asked), Ranges::Honoured) => match parse_range(asked, size_bytes) {
            Some(range) => Part::Range(range),
            None => Part::Status(416),
        },
    }
}

/// Returns the range of a header such as `bytes=5-`; `None` if the content has no such bytes.
fn parse_range(header: &str, size_bytes: u64) -> Option<Range<u64>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let range = if first.is_empty() {
        size_bytes.saturating_sub(last.parse().ok()?)..size_bytes
    } else if last.is_empty() {
        first.parse().ok()?..size_bytes
    } else {
        first.parse().ok()?..size_bytes.min(last.parse::<u64>().ok()? + 1)
    };
    (range.start < range.end).then_some(range)
}

/// The head of a request as it was received.
pub(super) fn parse_head(head: &[u8]) -> io::Result<Seen> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(head);
    parsed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = request.headers.iter();
    Ok(Seen {
        method: request.method.unwrap_or_default().to_owned(),
        path: request.path.unwrap_or_default().to_owned(),
        headers: headers
            .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
            .collect(),
        ..Seen::default()
    })
}
