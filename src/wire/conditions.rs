//! Parsing of conditional and range headers (RFC 9110, sections 13 and 14). `image::Conditions`
//! evaluates the conditions.

use std::time::UNIX_EPOCH;

use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use httpdate::parse_http_date;

use crate::image::{Conditions, EntityTag, EntityTags, Validators};

/// The bytes that a GET selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All bytes.
    Whole,
    /// `len` bytes from `offset` on; `len` is at least 1.
    Part { offset: u64, len: u64 },
    /// The range lies outside the data.
    Unsatisfiable,
}

/// Reads the conditions of a request.
pub fn read_conditions(headers: &HeaderMap) -> Conditions {
    Conditions {
        if_match: read_tags(headers, &IF_MATCH),
        if_none_match: read_tags(headers, &IF_NONE_MATCH),
        if_modified_since_s: read_date(headers, &IF_MODIFIED_SINCE),
        if_unmodified_since_s: read_date(headers, &IF_UNMODIFIED_SINCE),
    }
}

/// Selects the bytes of a GET whose conditions are true, from data of `size_bytes` bytes with these
/// validators.
///
/// A single range is served; several ranges and malformed ones are ignored, as RFC 9110, 14.2
/// allows.
pub fn select(headers: &HeaderMap, current: Validators<'_>, size_bytes: u64) -> Selection {
    let Some(range) = headers.get(RANGE).and_then(|range| range.to_str().ok()) else {
        return Selection::Whole;
    };
    if !is_of_current(headers, current) || headers.get_all(RANGE).iter().count() > 1 {
        return Selection::Whole;
    }
    parse_range(range, size_bytes)
}

/// Returns true if `If-Range` is absent or names the current representation (13.1.5). A date must
/// equal the modification time, and is accepted only for data with a checksum: other data may
/// have changed in an external store.
fn is_of_current(headers: &HeaderMap, current: Validators<'_>) -> bool {
    let Some(validator) = headers.get(IF_RANGE) else {
        return true;
    };
    // Data without a checksum are served by an external store and may differ since the first part
    // was sent, so the client must get the whole.
    let Some(etag) = current.etag else {
        return false;
    };
    let validator = validator.to_str().unwrap_or_default();
    match seconds_of(validator) {
        Some(date_s) => date_s == current.modified_s,
        None => {
            let tag = parse_tag(validator);
            !tag.is_weak && &*tag.opaque == etag
        }
    }
}

/// Reads the tags of a header, which may have several lines. A line that is not text becomes a tag
/// that no image has.
fn read_tags(headers: &HeaderMap, name: &HeaderName) -> Option<EntityTags> {
    if !headers.contains_key(name) {
        return None;
    }
    let lines = headers.get_all(name).iter();
    let members = lines
        .flat_map(|line| line.to_str().unwrap_or_default().split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty());
    let mut tags = Vec::new();
    for member in members {
        if member == "*" {
            return Some(EntityTags::Any);
        }
        tags.push(parse_tag(member));
    }
    Some(EntityTags::Listed(tags))
}

/// Parses one tag. Glance writes tags without quotes, so clients send them without quotes too.
fn parse_tag(text: &str) -> EntityTag {
    let text = text.trim();
    let (is_weak, text) = match text.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let quoted = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    EntityTag {
        opaque: quoted.unwrap_or(text).into(),
        is_weak,
    }
}

/// Reads a date header. A repeated or malformed one is ignored (13.1.3, 13.1.4).
fn read_date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let mut values = headers.get_all(name).iter();
    let date_s = seconds_of(values.next()?.to_str().ok()?)?;
    values.next().is_none().then_some(date_s)
}

/// Parses an HTTP date in any of its three forms into seconds since 1970.
fn seconds_of(date: &str) -> Option<i64> {
    let date = parse_http_date(date.trim()).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()
}

fn parse_range(range: &str, size_bytes: u64) -> Selection {
    let Some((unit, spec)) = range.split_once('=') else {
        return Selection::Whole;
    };
    // Several ranges would require a multipart response; a server may ignore them (14.2).
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
        // The last bytes of empty data do not exist.
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

/// Parses digits; a number too large for 64 bits becomes the largest one.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, the date of RFC 9110's examples.
    const MODIFIED_S: i64 = 784_111_777;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    fn selected(pairs: &[(&'static str, &str)], size_bytes: u64) -> Selection {
        let current = Validators {
            etag: Some("abc"),
            modified_s: MODIFIED_S,
        };
        select(&headers(pairs), current, size_bytes)
    }

    fn part(offset: u64, len: u64) -> Selection {
        Selection::Part { offset, len }
    }

    #[test]
    fn single_ranges_are_selected() {
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
    fn if_range_names_the_current_representation() {
        for (validator, selection) in [
            ("\"abc\"", part(1, 9)),
            ("abc", part(1, 9)),
            ("W/\"abc\"", Selection::Whole),
            ("\"x\"", Selection::Whole),
            ("Sun, 06 Nov 1994 08:49:37 GMT", part(1, 9)),
            ("Sun, 06 Nov 1994 08:49:38 GMT", Selection::Whole),
        ] {
            let pairs = [("if-range", validator), ("range", "bytes=1-")];
            assert_eq!(selected(&pairs, 10), selection, "{validator}");
        }
        let date = headers(&[
            ("if-range", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("range", "bytes=1-"),
        ]);
        let without_checksum = Validators {
            etag: None,
            modified_s: MODIFIED_S,
        };
        assert_eq!(select(&date, without_checksum, 10), Selection::Whole);
    }

    #[test]
    fn tags_are_read_with_quotes_and_without() {
        let read = |value| read_conditions(&headers(&[("if-match", value)])).if_match;
        let tag = |opaque: &str, is_weak| EntityTag {
            opaque: opaque.into(),
            is_weak,
        };
        let listed = vec![tag("x", false), tag("abc", true), tag("d", false)];
        assert_eq!(read("\"x\", W/\"abc\",d"), Some(EntityTags::Listed(listed)));
        assert_eq!(read("*"), Some(EntityTags::Any));
        assert_eq!(read(""), Some(EntityTags::Listed(Vec::new())));
        let twice = [("if-none-match", "a"), ("if-none-match", "b")];
        let both = vec![tag("a", false), tag("b", false)];
        let conditions = read_conditions(&headers(&twice));
        assert_eq!(conditions.if_none_match, Some(EntityTags::Listed(both)));
    }

    #[test]
    fn dates_are_read_in_every_form_and_ignored_otherwise() {
        let read = |value| read_conditions(&headers(&[("if-modified-since", value)]));
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(date).if_modified_since_s, Some(MODIFIED_S), "{date}");
        }
        for other in ["", "yesterday", "784111777", "1994-11-06T08:49:37Z"] {
            assert_eq!(read(other), Conditions::default(), "{other}");
        }
        let date = ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT");
        let twice = read_conditions(&headers(&[date, date]));
        assert_eq!(twice, Conditions::default());
    }
}
