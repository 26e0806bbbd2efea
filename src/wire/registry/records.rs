//! Whole records and queries, as servers of this software exchange them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::TARGET_LIST_BYTES;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Timestamp, Usage};

/// Characters that are not escaped in a query string: unreserved ones (RFC 3986, 2.3).
pub(super) const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[derive(Serialize)]
struct RecordRef<'a> {
    version: u64,
    image: &'a Image,
}

/// A record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordMessage {
    /// The number of writes to the image so far, from 1.
    pub version: u64,
    /// The image.
    pub image: Image,
}

/// A part of a list: records in order, and whether more may follow.
#[derive(Debug, Clone, Default, Deserialize)]
struct ListMessage {
    records: Vec<RecordMessage>,
    more: bool,
}

#[derive(Deserialize)]
struct RawList {
    records: Vec<serde_json::Value>,
    more: bool,
}

/// A part of a list as read. A record of a later release may be unreadable; it does not affect the
/// others.
#[derive(Debug, Default)]
pub struct ReadList {
    /// The readable records, in the order of the list.
    pub records: Vec<RecordMessage>,
    /// The identifiers of the unreadable ones as sent, with the reasons.
    pub unreadable: Vec<(String, String)>,
    /// The last image of this part, readable or not.
    pub last: Option<ImageId>,
    /// True if more may follow.
    pub more: bool,
}

/// Reads what [`write_records`] writes.
///
/// # Errors
/// `Internal` if the body is not a list.
pub fn read_records(body: &[u8]) -> Result<ReadList> {
    if let Ok(ListMessage { records, more }) = serde_json::from_slice(body) {
        let last = records.last().map(|record: &RecordMessage| record.image.id);
        return Ok(ReadList {
            records,
            last,
            more,
            ..ReadList::default()
        });
    }
    let RawList { records, more } = serde_json::from_slice(body).map_err(Error::internal)?;
    let mut list = ReadList {
        more,
        ..ReadList::default()
    };
    for raw in records {
        let id = raw["image"]["id"].as_str().unwrap_or_default().to_owned();
        list.last = id.parse().ok().or(list.last);
        match serde_json::from_value(raw) {
            Ok(record) => list.records.push(record),
            Err(error) => list.unreadable.push((id, error.to_string())),
        }
    }
    Ok(list)
}

/// The number of images by status, and their usage.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CensusMessage {
    /// The usage of all images.
    pub usage: Usage,
    /// The word of each status with the number of images in it.
    pub counts: Vec<(String, usize)>,
}

/// A query. `changes_since` is sent in microseconds, because the text form of timestamps cannot
/// express the earliest one.
#[derive(Serialize, Deserialize)]
struct QueryMessage {
    query: Query,
    changes_since_micros: Option<i64>,
}

/// Writes a record.
pub fn write_record(version: u64, image: &Image) -> Result<Vec<u8>> {
    serde_json::to_vec(&RecordRef { version, image }).map_err(Error::internal)
}

/// Writes as many records as one response holds. `more` is true if the list has records beyond
/// these.
pub fn write_records<'a>(
    records: impl Iterator<Item = (u64, &'a Image)>,
    mut more: bool,
) -> Result<Vec<u8>> {
    let mut out = b"{\"records\":[".to_vec();
    for (position, (version, image)) in records.enumerate() {
        if out.len() > TARGET_LIST_BYTES {
            more = true;
            break;
        }
        if position > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, &RecordRef { version, image }).map_err(Error::internal)?;
    }
    out.extend_from_slice(format!("],\"more\":{more}}}").as_bytes());
    Ok(out)
}

/// Returns a query as a query string.
pub fn write_query(query: &Query) -> Result<String> {
    let message = QueryMessage {
        query: Query {
            changes_since: None,
            ..query.clone()
        },
        changes_since_micros: query.changes_since.map(Timestamp::as_micros),
    };
    let json = serde_json::to_string(&message).map_err(Error::internal)?;
    Ok(format!("query={}", utf8_percent_encode(&json, QUERY)))
}

/// Reads what [`write_query`] writes.
///
/// # Errors
/// `Invalid`.
pub fn parse_query(text: &str) -> Result<Query> {
    let json = parameter(text, "query")?;
    let message: QueryMessage =
        serde_json::from_str(&json).map_err(|error| invalid("query").because(error))?;
    Ok(Query {
        changes_since: message.changes_since_micros.map(Timestamp::from_micros),
        ..message.query
    })
}

/// Returns the owner of a usage request as a query string; empty for images without an owner.
pub fn write_owner(owner: Option<&str>) -> String {
    owner.map_or_else(String::new, |owner| {
        format!("owner={}", utf8_percent_encode(owner, QUERY))
    })
}

/// Reads what [`write_owner`] writes.
///
/// # Errors
/// `Invalid`.
pub fn parse_owner(text: &str) -> Result<Option<String>> {
    match text {
        "" => Ok(None),
        text => parameter(text, "owner").map(Some),
    }
}

pub(super) fn parameter(text: &str, name: &str) -> Result<String> {
    let value = text
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('='));
    let value = value.ok_or_else(|| invalid(name))?;
    let decoded = percent_decode_str(value).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|error| invalid(name).because(error))
}

pub(super) fn invalid(name: &str) -> Error {
    Error::new(Kind::Invalid, format!("The parameter {name} is malformed."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Filter, ListScope, SortDirection, SortKey};

    #[test]
    fn query_is_read_back_whole() {
        let query = Query {
            scope: ListScope::Tenant(Some("a&b = ü".to_owned())),
            filters: vec![
                Filter::Name(vec!["in:x".to_owned(), "50%".to_owned()]),
                Filter::SizeMin(u64::MAX),
            ],
            changes_since: Some(Timestamp::from_micros(i64::MIN)),
            sort_keys: vec![(SortKey::UpdatedAt, SortDirection::Descending)],
            marker: Some(ImageId::random()),
            limit: usize::MAX,
        };
        let text = write_query(&query).unwrap();
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(parse_query(&text).unwrap(), query);
        for wrong in ["", "query=", "query=%7B", "query=%ff"] {
            assert_eq!(parse_query(wrong).unwrap_err().kind(), Kind::Invalid);
        }
    }

    #[test]
    fn owner_is_read_back() {
        for owner in [None, Some(""), Some("a b&c=ü")] {
            let text = write_owner(owner);
            assert_eq!(parse_owner(&text).unwrap().as_deref(), owner);
        }
    }

    #[test]
    fn unreadable_record_does_not_affect_others() {
        let image = Image::queued(ImageId::random(), Timestamp::from_micros(7));
        let other = Image::queued(ImageId::random(), Timestamp::from_micros(7));
        let written = write_records([(3, &image), (4, &other)].into_iter(), true).unwrap();
        let list = read_records(&written).unwrap();
        assert_eq!((list.records.len(), list.more), (2, true));
        assert_eq!(list.last, Some(other.id));
        let mut later: serde_json::Value = serde_json::from_slice(&written).unwrap();
        later["records"][1]["image"]["status"] = "importing".into();
        let list = read_records(later.to_string().as_bytes()).unwrap();
        assert_eq!(list.records[0].image, image);
        assert_eq!((list.records.len(), list.more), (1, true));
        assert_eq!(list.last, Some(other.id));
        assert_eq!(list.unreadable[0].0, other.id.as_str());
        assert!(read_records(b"{}").is_err());
    }

    #[test]
    fn list_ends_when_a_response_is_full() {
        let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(7));
        let value = "x".repeat(60_000);
        image.properties.insert("p".to_owned(), Some(value));
        let records = (1..=100).map(|version| (version, &image));
        let list: ListMessage =
            serde_json::from_slice(&write_records(records, false).unwrap()).unwrap();
        assert!(list.more && list.records.len() < 100);
        assert_eq!(list.records[0].image, image);
        let one = write_records([(3, &image)].into_iter(), false).unwrap();
        let list: ListMessage = serde_json::from_slice(&one).unwrap();
        assert_eq!((list.records[0].version, list.more), (3, false));
    }
}
