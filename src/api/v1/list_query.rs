//! The query string of v1 lists: filters, sorting and paging. The legacy registry protocol has the
//! same grammar.

use percent_encoding::percent_decode;

use crate::display::is_unsafe_to_display;
use crate::error::{Error, Kind, Result};
use crate::image::{Filter, SortDirection, SortKey, Timestamp};
use crate::service::ListRequest;

/// Longest part of a refused value that an error repeats, in characters.
const MAX_SHOWN_CHARS: usize = 64;

/// Most parameters in a query.
const MOST_PARAMETERS: usize = 256;

/// Parses a query string. Parameters that Glance does not know are ignored; of a repeated one the
/// last counts.
///
/// # Errors
/// `Invalid` with the parameter and the values that it accepts.
pub(in crate::api) fn parse(query: &str) -> Result<ListRequest> {
    let mut request = ListRequest {
        filters: Vec::new(),
        is_public: None,
        changes_since: None,
        sort_keys: vec![(SortKey::CreatedAt, SortDirection::Descending)],
        marker: None,
        limit: None,
    };
    for (name, value) in last_of_each(query)? {
        set(&mut request, &name, value)?;
    }
    Ok(request)
}

fn last_of_each(query: &str) -> Result<Vec<(String, String)>> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        parameters.retain(|(earlier, _)| *earlier != name);
        parameters.push((name, value));
        if parameters.len() > MOST_PARAMETERS {
            return Err(malformed("it may have at most 256 parameters."));
        }
    }
    Ok(parameters)
}

fn decode(text: &str) -> Result<String> {
    let plain = text.replace('+', " ");
    let decoded = percent_decode(plain.as_bytes()).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| malformed("it must be UTF-8, percent-encoded."))
}

/// Returns the error of an invalid value. Clients search for `NAME got VALUE`, which Glance wrote.
fn invalid(name: &str, value: &str, wanted: &str) -> Error {
    let value = shown(value);
    malformed(&format!("{name} got {value}; it must be {wanted}."))
}

fn malformed(detail: &str) -> Error {
    Error::new(Kind::Invalid, format!("Invalid query: {detail}"))
}

/// Returns the start of a value, with characters that are unsafe to print replaced.
fn shown(value: &str) -> String {
    let sign = |sign| {
        if is_unsafe_to_display(sign) {
            '?'
        } else {
            sign
        }
    };
    value.chars().take(MAX_SHOWN_CHARS).map(sign).collect()
}

fn set(request: &mut ListRequest, name: &str, value: String) -> Result<()> {
    let filter = match name {
        "limit" => {
            let limit = number(name, &value)?;
            request.limit = Some(usize::try_from(limit).unwrap_or(usize::MAX));
            return Ok(());
        }
        "marker" => {
            let marker = value
                .parse()
                .map_err(|_| invalid(name, &value, "the id of an image"))?;
            request.marker = Some(marker);
            return Ok(());
        }
        "sort_key" => {
            let key = SortKey::from_word(&value).ok_or_else(|| {
                invalid(name, &value, "name, status, container_format, disk_format, size, id, created_at or updated_at")
            })?;
            // v1 sorts by one key.
            request
                .sort_keys
                .iter_mut()
                .for_each(|(current, _)| *current = key);
            return Ok(());
        }
        "sort_dir" => {
            let direction = match value.as_str() {
                "asc" => SortDirection::Ascending,
                "desc" => SortDirection::Descending,
                _ => return Err(invalid(name, &value, "asc or desc")),
            };
            request
                .sort_keys
                .iter_mut()
                .for_each(|(_, current)| *current = direction);
            return Ok(());
        }
        "is_public" => {
            request.is_public = Some(match value.to_ascii_lowercase().as_str() {
                "none" => None,
                _ => Some(truth(name, &value)?),
            });
            return Ok(());
        }
        "changes-since" => {
            let time = Timestamp::parse(&value);
            let time = time.ok_or_else(|| invalid(name, &value, "an ISO 8601 time"))?;
            request.changes_since = Some(time);
            return Ok(());
        }
        _ => filter(name, value)?,
    };
    request.filters.extend(filter);
    Ok(())
}

fn filter(name: &str, value: String) -> Result<Option<Filter>> {
    Ok(Some(match name {
        "id" => Filter::Id(words(&value)),
        "name" => Filter::Name(words(&value)),
        "status" => Filter::Status(words(&value)),
        "disk_format" => Filter::DiskFormat(words(&value)),
        "container_format" => Filter::ContainerFormat(words(&value)),
        "min_disk" => Filter::MinDisk(number(name, &value)?),
        "min_ram" => Filter::MinRam(number(name, &value)?),
        "size_min" => Filter::SizeMin(number(name, &value)?),
        "size_max" => Filter::SizeMax(number(name, &value)?),
        "protected" => Filter::Protected(truth(name, &value)?),
        _ => match name.strip_prefix("property-") {
            // The same normalization as of header names in `MetaReader`: letters beyond ASCII keep
            // their case.
            Some(key) => Filter::Property(key.replace('-', "_").to_ascii_lowercase(), value),
            None => return Ok(None),
        },
    }))
}

/// Parses `in:a,b` as a list of words, and any other value as one word.
fn words(value: &str) -> Vec<String> {
    match value.strip_prefix("in:") {
        Some(list) => list.split(',').map(|word| word.trim().to_owned()).collect(),
        None => vec![value.to_owned()],
    }
}

/// Parses a non-negative integer. One that exceeds 64 bits becomes the largest, which compares in
/// the same way.
fn number(name: &str, value: &str) -> Result<u64> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(invalid(name, value, "a whole number, not negative"));
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

fn truth(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(invalid(name, value, "true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_read() {
        let request = parse(
            "name=in:a,b%20c&status=active&size_min=1&property-Os-Type=linux&unknown=x\
             &property-%C3%84nderung=1&limit=5&limit=7&sort_key=size&sort_dir=asc&is_public=None&protected=TRUE\
             &changes-since=2010-01-01&marker=71c675ab-d94f-49cd-a114-e12490b328d9",
        )
        .unwrap();
        assert_eq!(
            request.filters,
            [
                Filter::Name(vec!["a".into(), "b c".into()]),
                Filter::Status(vec!["active".into()]),
                Filter::SizeMin(1),
                Filter::Property("os_type".into(), "linux".into()),
                Filter::Property("Änderung".into(), "1".into()),
                Filter::Protected(true),
            ]
        );
        assert_eq!(request.limit, Some(7));
        assert_eq!(
            request.sort_keys,
            [(SortKey::Size, SortDirection::Ascending)]
        );
        assert_eq!(request.is_public, Some(None));
        assert!(request.marker.is_some() && request.changes_since.is_some());
    }

    #[test]
    fn invalid_values_are_refused() {
        for query in [
            "limit=-1",
            "limit=",
            "limit=x",
            "size_min=1.5",
            "size_max=",
            "min_ram=-1",
            "protected=yes",
            "is_public=",
            "changes-since=",
            "changes-since=yesterday",
            "marker=",
            "marker=7",
            "sort_key=password",
            "sort_key=Name",
            "sort_dir=up",
            "name=%ff",
        ] {
            let error = parse(query).expect_err(query);
            assert_eq!(error.kind(), Kind::Invalid, "{query}");
        }
        let error = parse("size_min=abc").expect_err("no number");
        assert!(error.message().contains("size_min got abc;"), "{error}");
        let error = parse("limit=a%0d%1bb").expect_err("no number");
        assert!(error.message().contains("limit got a??b;"), "{error}");
        let many: String = (0..1000).map(|n| format!("a{n}=1&")).collect();
        assert!(parse(&many).is_err());
    }

    #[test]
    fn literal_colons_are_literal() {
        let request = parse("name=x:y&limit=99999999999999999999").unwrap();
        assert_eq!(request.filters, [Filter::Name(vec!["x:y".into()])]);
        assert_eq!(request.limit, Some(usize::MAX));
    }
}
