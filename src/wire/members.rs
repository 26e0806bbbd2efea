//! Members of images as JSON: requests and responses of the v1 API and of the registry API.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::text;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, Member};

/// Longest member identifier, in characters.
const MAX_MEMBER_CHARS: usize = 255;

/// Reads the body of `PUT …/members/{member}`: the value of `can_share`, if it states one.
///
/// # Errors
/// [`Kind::Invalid`] for a body that is not a JSON object.
pub fn parse_member(body: &[u8]) -> Result<Option<bool>> {
    if body.is_empty() {
        return Ok(None);
    }
    // Not a struct: serde would also read a struct from a list, and errors would name its type.
    let Value::Object(body) = serde_json::from_slice(body).map_err(malformed)? else {
        return Err(not_member());
    };
    match body.get("member") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(member)) => Ok(member.get("can_share").map(is_truthy)),
        Some(_) => Err(not_member()),
    }
}

/// Reads the body of `PUT …/members`: `{"memberships": [...]}`, or the bare list that the
/// clients of 2011 sent. Each entry is a tenant and the value of `can_share`, if stated.
///
/// # Errors
/// [`Kind::Invalid`] for any other body.
pub fn parse_memberships(body: &[u8]) -> Result<Vec<(String, Option<bool>)>> {
    let value: Value = serde_json::from_slice(body).map_err(malformed)?;
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("memberships") {
            Some(Value::Array(list)) => list,
            _ => return Err(not_memberships()),
        },
        _ => return Err(not_memberships()),
    };
    list.iter().map(parse_membership).collect()
}

fn parse_membership(entry: &Value) -> Result<(String, Option<bool>)> {
    let id = entry
        .get("member_id")
        .and_then(Value::as_str)
        .ok_or_else(not_memberships)?;
    check_member_id(id)?;
    Ok((id.to_owned(), entry.get("can_share").map(is_truthy)))
}

/// Refuses an empty identifier, one that is too long, and one with control characters.
///
/// # Errors
/// [`Kind::Invalid`].
pub fn check_member_id(id: &str) -> Result<()> {
    let length = id.chars().count();
    if length == 0 || length > MAX_MEMBER_CHARS || id.chars().any(char::is_control) {
        return Err(Error::new(
            Kind::Invalid,
            format!(
                "A member id has 1 to {MAX_MEMBER_CHARS} characters, none of them a control character."
            ),
        ));
    }
    Ok(())
}

/// Returns the truth value of a JSON value in Python, which clients of Glance rely on.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

/// Returns the error of a malformed body. The parser's text names Rust types, so it only goes to
/// the log.
fn malformed(cause: serde_json::Error) -> Error {
    let (line, column) = (cause.line(), cause.column());
    let message = format!("Malformed JSON in request body: line {line}, column {column}.");
    Error::new(Kind::Invalid, message).because(cause)
}

fn not_member() -> Error {
    Error::new(
        Kind::Invalid,
        "The body must be an object, as in {\"member\": {\"can_share\": true}}.",
    )
}

fn not_memberships() -> Error {
    Error::new(
        Kind::Invalid,
        "Wanted {\"memberships\": [{\"member_id\": \"…\", \"can_share\": false}, …]}.",
    )
}

/// Writes `{"members":[{"member_id":…,"can_share":…}]}`.
pub fn write_members<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<u8> {
    let rows = members.map(|member| (member.id.as_str(), member.can_share));
    write_rows("members", "member_id", rows)
}

/// Writes `{"shared_images":[{"image_id":…,"can_share":…}]}` for one tenant.
pub fn write_shared_images<'a>(
    images: impl Iterator<Item = &'a Image>,
    tenant: &'a str,
) -> Vec<u8> {
    let rows = images.flat_map(|image| {
        let memberships = image
            .effective_members()
            .iter()
            .filter(|member| member.id == tenant);
        memberships.map(|member| (image.id.as_str(), member.can_share))
    });
    write_rows("shared_images", "image_id", rows)
}

/// Writes the body of `PUT …/members/{member}`: the client's side of [`parse_member`].
pub fn write_member(can_share: bool) -> Vec<u8> {
    format!("{{\"member\":{{\"can_share\":{can_share}}}}}").into_bytes()
}

/// Writes the body of `PUT …/members`: the client's side of [`parse_memberships`].
pub fn write_memberships<'a>(members: impl Iterator<Item = (&'a str, bool)>) -> Vec<u8> {
    write_rows("memberships", "member_id", members)
}

/// The members of an image as a client reads them: what [`write_members`] writes.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MemberListing {
    /// The projects the image is shared with.
    pub members: Vec<MemberEntry>,
}

/// A member of an image as v1 shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberEntry {
    /// The project.
    #[serde(rename = "member_id")]
    pub id: String,
    /// True if the project may share the image further.
    pub can_share: bool,
}

/// The images of a tenant as a client reads them: what [`write_shared_images`] writes.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SharedImageListing {
    /// The images that are shared with the tenant.
    pub shared_images: Vec<SharedImage>,
}

/// An image that is shared with a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedImage {
    /// The identifier of the image.
    pub image_id: String,
    /// True if the tenant may share the image further.
    pub can_share: bool,
}

fn write_rows<'a>(list: &str, key: &str, rows: impl Iterator<Item = (&'a str, bool)>) -> Vec<u8> {
    let mut out = format!("{{\"{list}\":[").into_bytes();
    for (position, (id, can_share)) in rows.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(format!("{{\"{key}\":").as_bytes());
        text(&mut out, id);
        out.extend_from_slice(format!(",\"can_share\":{can_share}}}").as_bytes());
    }
    out.extend_from_slice(b"]}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Timestamp;

    #[test]
    fn member_body_is_optional() {
        assert_eq!(parse_member(b"").unwrap(), None);
        assert_eq!(parse_member(b"{}").unwrap(), None);
        assert_eq!(parse_member(b"{\"member\":{}}").unwrap(), None);
        assert_eq!(parse_member(&write_member(true)).unwrap(), Some(true));
        assert_eq!(
            parse_member(b"{\"member\":{\"can_share\":0}}").unwrap(),
            Some(false)
        );
        for bad in ["7", "{", "{\"member\":3}", "null", "[]", "[{}]"] {
            let error = parse_member(bad.as_bytes()).expect_err(bad);
            assert!(!error.message().contains("struct"), "{error}");
        }
    }

    #[test]
    fn memberships_are_read_wrapped_and_bare() {
        let wanted = vec![("a".to_owned(), Some(true)), ("b".to_owned(), None)];
        let list = r#"[{"member_id":"a","can_share":true},{"member_id":"b"}]"#;
        assert_eq!(parse_memberships(list.as_bytes()).unwrap(), wanted);
        let wrapped = format!("{{\"memberships\":{list}}}");
        assert_eq!(parse_memberships(wrapped.as_bytes()).unwrap(), wanted);
        assert!(parse_memberships(b"[]").unwrap().is_empty());
    }

    #[test]
    fn other_shapes_and_deep_nesting_are_refused() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for bad in [
            "",
            "null",
            "{}",
            "{\"memberships\":null}",
            "[1]",
            "[{}]",
            "[{\"member_id\":\"\"}]",
            "[{\"member_id\":\"a\\r\\n\"}]",
            "{\"memberships\":[{\"member_id\":1}]}",
            &deep,
        ] {
            let error = parse_memberships(bad.as_bytes()).expect_err("refused");
            assert_eq!(error.kind(), Kind::Invalid);
        }
        let long = format!("[{{\"member_id\":\"{}\"}}]", "x".repeat(256));
        assert!(parse_memberships(long.as_bytes()).is_err());
    }

    #[test]
    fn lists_are_json() {
        let members = [Member::new("a\"b", true, Timestamp::from_micros(1))];
        assert_eq!(
            String::from_utf8(write_members(members.iter())).unwrap(),
            r#"{"members":[{"member_id":"a\"b","can_share":true}]}"#
        );
    }

    #[test]
    fn both_sides_agree_on_lists() {
        let member = Member::new("tenant", true, Timestamp::from_micros(1));
        let entries = [MemberEntry {
            id: "tenant".to_owned(),
            can_share: true,
        }];
        let written = write_memberships([("tenant", true)].into_iter());
        let read = parse_memberships(&written).unwrap();
        assert_eq!(read, [("tenant".to_owned(), Some(true))]);
        let listing: MemberListing =
            serde_json::from_slice(&write_members([member].iter())).unwrap();
        assert_eq!(listing.members, entries);
        let shared = write_rows("shared_images", "image_id", [("7", true)].into_iter());
        let listing: SharedImageListing = serde_json::from_slice(&shared).unwrap();
        assert_eq!(listing.shared_images[0].image_id, "7");
    }
}
