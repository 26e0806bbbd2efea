//! Conditions and ranges of a GET (RFC 9110, sections 13 and 14).

use http::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What a GET's conditions make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All bytes.
    Whole,
    /// `len` bytes from `offset` on; at least one.
    Part { offset: u64, len: u64 },
    /// The client has what it asks for.
    NotModified,
    /// The client wants another image than this.
    PreconditionFailed,
    /// The range lies outside the image.
    Unsatisfiable,
}

/// Selects what is sent of `size_bytes` bytes with this entity tag.
///
/// One range is served; of several, and of what is malformed, nothing is taken notice,
/// which a server is free to do (14.2). Glance writes its tags without quotes, so they are
/// compared without.
pub fn select(headers: &HeaderMap, etag: Option<&str>, size_bytes: u64) -> Selection {
    if headers.contains_key(IF_MATCH) && !names(headers, IF_MATCH.as_str(), etag) {
        return Selection::PreconditionFailed;
    }
    if names(headers, IF_NONE_MATCH.as_str(), etag) {
        return Selection::NotModified;
    }
    let Some(range) = headers.get(RANGE).and_then(|range| range.to_str().ok()) else {
        return Selection::Whole;
    };
    let is_of_this = match headers.get(IF_RANGE) {
        None => true,
        Some(tag) => tag.to_str().is_ok_and(|tag| Some(strong(tag)) == etag),
    };
    if !is_of_this || headers.get_all(RANGE).iter().count() > 1 {
        return Selection::Whole;
    }
    parse_range(range, size_bytes)
}

/// Whether a list of tags names this one.
fn names(headers: &HeaderMap, header: &str, etag: Option<&str>) -> bool {
    let lists = headers.get_all(header).iter();
    let mut tags = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim);
    tags.any(|tag| tag == "*" || etag.is_some_and(|etag| weak(tag) == etag))
}

fn strong(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'))
        .unwrap_or(tag)
}

/// Without the mark that says a tag is good enough, not exact.
fn weak(tag: &str) -> &str {
    strong(tag.strip_prefix("W/").unwrap_or(tag))
}

fn parse_range(range: &str, size_bytes: u64) -> Selection {
    let Some((unit, spec)) = range.split_once('=') else {
        return Selection::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Selection::Whole;
    }
    match spec.trim().split_once('-') {
        None => Selection::Whole,
        Some(("", suffix)) => parse_suffix(suffix, size_bytes),
        Some((first, last)) => parse_span(first, last, size_bytes),
    }
}

fn parse_suffix(suffix: &str, size_bytes: u64) -> Selection {
    match number(suffix) {
        None => Selection::Whole,
        Some(0) => Selection::Unsatisfiable,
        Some(_) if size_bytes == 0 => Selection::Unsatisfiable,
        Some(suffix) => {
            let len = suffix.min(size_bytes);
            Selection::Part {
                offset: size_bytes - len,
                len,
            }
        }
    }
}

fn parse_span(first: &str, last: &str, size_bytes: u64) -> Selection {
    let Some(first) = number(first) else {
        return Selection::Whole;
    };
    let last = match last {
        "" => u64::MAX,
        last => match number(last) {
            Some(last) if last >= first => last,
            _ => return Selection::Whole,
        },
    };
    if first >= size_bytes {
        return Selection::Unsatisfiable;
    }
    Selection::Part {
        offset: first,
        len: last.min(size_bytes - 1) - first + 1,
    }
}

/// Digits; a number too large to hold is as far away as one can be.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn selected(pairs: &[(&'static str, &str)], size_bytes: u64) -> Selection {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        select(&headers, Some("abc"), size_bytes)
    }

    fn part(offset: u64, len: u64) -> Selection {
        Selection::Part { offset, len }
    }

    #[test]
    fn ranges() {
        for (range, selection) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-", part(2, 8)),
            ("bytes=2-99", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-99", part(0, 10)),
            ("Bytes=0-18446744073709551616", part(0, 10)),
            ("bytes=10-", Selection::Unsatisfiable),
            ("bytes=18446744073709551616-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=5-2", Selection::Whole),
            ("bytes=0-0,2-3", Selection::Whole),
            ("bytes=", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("lines=1-2", Selection::Whole),
        ] {
            assert_eq!(selected(&[("range", range)], 10), selection, "{range}");
        }
        assert_eq!(
            selected(&[("range", "bytes=-1")], 0),
            Selection::Unsatisfiable
        );
    }

    #[test]
    fn conditions() {
        let range = ("range", "bytes=1-");
        for (condition, selection) in [
            (("if-none-match", "\"abc\""), Selection::NotModified),
            (("if-none-match", "x, W/\"abc\""), Selection::NotModified),
            (("if-none-match", "*"), Selection::NotModified),
            (("if-none-match", "\"x\""), part(1, 9)),
            (("if-match", "\"x\", abc"), part(1, 9)),
            (("if-match", "\"x\""), Selection::PreconditionFailed),
            (("if-range", "\"abc\""), part(1, 9)),
            (("if-range", "abc"), part(1, 9)),
            (("if-range", "W/\"abc\""), Selection::Whole),
            (
                ("if-range", "Sun, 06 Nov 1994 08:49:37 GMT"),
                Selection::Whole,
            ),
        ] {
            assert_eq!(
                selected(&[condition, range], 10),
                selection,
                "{condition:?}"
            );
        }
    }
}
