//! `x-image-meta-*` headers in requests: reading on the server, writing in the client.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::escapes::{decode_escapes, may_be_quoted, may_be_quoted_address, may_be_quoted_name};
use super::registry::{STATE_PROPERTY, is_reserved_property};
use crate::error::{Error, Kind, Result};
use crate::image::{Change, Checksum, Fields, InvalidChecksum, Timestamp};

const PREFIX: &str = "x-image-meta-";
const PROPERTY_PREFIX: &str = "x-image-meta-property-";
const COPY_FROM: &str = "x-glance-api-copy-from";
const LOCATION: &str = "x-image-meta-location";

/// Longest name, in characters.
const MAX_NAME_CHARS: usize = 255;
/// Largest `min_disk` and `min_ram`.
const MAX_MINIMUM: u64 = i32::MAX as u64;
/// Largest `size` and `virtual_size`: the largest value of a signed 64-bit column in Glance.
const MAX_SIZE: u64 = i64::MAX as u64;

/// Reads the image metadata of a request's headers.
#[derive(Debug, Clone, Copy, Default)]
pub struct MetaReader {
    /// True for a client whose newer versions escape names and values (python-glanceclient since
    /// 2.11).
    pub escaped: bool,
}

impl MetaReader {
    /// Parses every `x-image-meta-*` header and `x-glance-api-copy-from`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for an unknown field and for a value that its field cannot hold.
    pub fn read(self, headers: &HeaderMap) -> Result<Fields> {
        // Versions that escape, escape every header; one that cannot be escaped proves an older
        // version, whose values must not be decoded.
        let escaped = self.escaped && headers.iter().all(may_be_escaped);
        Self { escaped }.read_all(headers)
    }

    fn read_all(self, headers: &HeaderMap) -> Result<Fields> {
        let mut fields = Fields::default();
        for name in headers.keys() {
            if !is_meta(name) {
                continue;
            }
            let is_copy_from = name.as_str() == COPY_FROM;
            let key = self.plain(name.as_str()).to_ascii_lowercase();
            let value = self.joined_value(headers, name)?;
            if is_copy_from {
                fields.copy_from = Some(value);
            } else if let Some(property) = key.strip_prefix(PROPERTY_PREFIX) {
                let property = property.replace('-', "_");
                read_property(&mut fields, name, property, value)?;
            } else {
                let field = key[PREFIX.len()..].replace('-', "_");
                read_field(&mut fields, &field, value)?;
            }
        }
        Ok(fields)
    }

    fn plain(self, text: &str) -> std::borrow::Cow<'_, str> {
        if self.escaped {
            decode_escapes(text)
        } else {
            text.into()
        }
    }

    /// Returns the value of a header. Several lines of one header are joined with commas, as HTTP
    /// defines.
    fn joined_value(self, headers: &HeaderMap, name: &HeaderName) -> Result<String> {
        let mut joined = String::new();
        for (position, value) in headers.get_all(name).iter().enumerate() {
            let text = std::str::from_utf8(value.as_bytes())
                .map_err(|_| invalid(format!("The value of {name} is not valid UTF-8.")))?;
            if position > 0 {
                joined.push(',');
            }
            joined.push_str(&self.plain(text));
        }
        // Databases of Glance could not hold characters outside the basic plane. Refusing them
        // keeps every image exportable to such a registry.
        if joined.chars().any(|c| u32::from(c) > 0xFFFF) {
            return Err(invalid(format!(
                "The value of {name} has a character outside the basic multilingual plane."
            )));
        }
        Ok(joined)
    }
}

fn is_meta(name: &HeaderName) -> bool {
    name.as_str() == COPY_FROM || name.as_str().starts_with(PREFIX)
}

/// Returns true if a client that escapes all its headers can have sent this one. A single header
/// for which this is false shows that the client escapes none.
fn may_be_escaped((name, value): (&HeaderName, &HeaderValue)) -> bool {
    if !is_meta(name) {
        return true;
    }
    let is_address = name.as_str() == COPY_FROM || name.as_str() == LOCATION;
    let of_value = if is_address {
        may_be_quoted_address
    } else {
        may_be_quoted
    };
    may_be_quoted_name(name.as_str()) && of_value(value.as_bytes())
}

/// Returns true if Glance reads a word as true; every other word is false.
pub fn is_true_word(word: &str) -> bool {
    ["1", "t", "true", "on", "y", "yes"]
        .iter()
        .any(|truth| word.trim().eq_ignore_ascii_case(truth))
}

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message)
}

fn read_property(
    fields: &mut Fields,
    name: &HeaderName,
    property: String,
    value: String,
) -> Result<()> {
    if property.is_empty() || property.chars().any(|c| u32::from(c) > 0xFFFF) {
        return Err(invalid(format!("Bad header: {name}")));
    }
    if is_reserved_property(&property) {
        return Err(invalid(format!(
            "The property {STATE_PROPERTY} is reserved for the service."
        )));
    }
    fields
        .properties
        .insert(property, (!value.is_empty()).then_some(value));
    Ok(())
}

fn read_field(fields: &mut Fields, field: &str, value: String) -> Result<()> {
    match field {
        "id" => {
            let id = value
                .parse()
                .map_err(|_| invalid("Invalid image id format.".to_owned()))?;
            fields.id = Some(id);
        }
        "name" => fields.name = read_name(value)?,
        "status" => fields.status = Some(value),
        "size" => fields.size_bytes = Some(read_integer(field, &value, MAX_SIZE)?),
        "virtual_size" if value.eq_ignore_ascii_case("none") => {
            fields.virtual_size_bytes = Change::Clear;
        }
        "virtual_size" => {
            fields.virtual_size_bytes = Change::Set(read_integer(field, &value, MAX_SIZE)?);
        }
        "min_disk" => fields.min_disk_gb = Some(read_minimum(field, &value)?),
        "min_ram" => fields.min_ram_mb = Some(read_minimum(field, &value)?),
        "disk_format" => fields.disk_format = read_text(value),
        "container_format" => fields.container_format = read_text(value),
        "checksum" => fields.checksum = read_checksum(value)?,
        "owner" => fields.owner = read_text(value),
        // python-glanceclient sends this for an option that its user left out.
        "is_public" if value == "None" => {}
        "is_public" => fields.is_public = Some(is_true_word(&value)),
        "protected" => fields.protected = Some(is_true_word(&value)),
        "store" => fields.store = Some(value),
        "location" => fields.location = Some(value),
        "created_at" | "updated_at" | "deleted_at" => read_time(field, &value)?,
        // Accepted without effect: clients cannot set `deleted`, and the header of a copy is
        // x-glance-api-copy-from.
        "deleted" | "uri" | "copy_from" => {}
        _ => return Err(invalid(format!("Bad header: {PREFIX}{field}"))),
    }
    Ok(())
}

fn read_text(value: String) -> Change<String> {
    if value.is_empty() {
        Change::Clear
    } else {
        Change::Set(value)
    }
}

fn read_name(value: String) -> Result<Change<String>> {
    if value.chars().count() > MAX_NAME_CHARS {
        return Err(invalid(format!(
            "Image name too long: at most {MAX_NAME_CHARS} characters."
        )));
    }
    Ok(read_text(value))
}

fn read_checksum(value: String) -> Result<Change<Checksum>> {
    if value.is_empty() {
        return Ok(Change::Clear);
    }
    let checksum = Checksum::stated(&value)
        .ok_or_else(|| invalid(format!("Invalid checksum: {InvalidChecksum}.")))?;
    Ok(Change::Set(checksum))
}

/// Reads decimal digits; refuses signs, spaces and exponents.
fn read_integer(field: &str, value: &str, most: u64) -> Result<u64> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| value.parse::<u64>().ok()).flatten();
    number.filter(|number| *number <= most).ok_or_else(|| {
        invalid(format!(
            "Cannot convert image {field} '{value}' to an integer from 0 to {most}."
        ))
    })
}

fn read_minimum(field: &str, value: &str) -> Result<u32> {
    read_integer(field, value, MAX_MINIMUM).map(|number| number as u32)
}

/// Validates a time, which is then dropped: only the server's clock sets times.
fn read_time(field: &str, value: &str) -> Result<()> {
    if value.is_empty() || Timestamp::parse(value).is_some() {
        return Ok(());
    }
    Err(invalid(format!(
        "Invalid time format for {field}: ISO 8601 wanted."
    )))
}

/// Writes a request's metadata into its headers; [`MetaReader`] reads them.
///
/// Names are written with dashes: nginx drops request headers that have underscores in their
/// names, unless `underscores_in_headers` is on. Every Glance reads a dash as an underscore, in
/// names of properties too.
///
/// # Errors
/// [`Kind::Invalid`] if no header can have a property's key or a value.
pub fn write_fields(fields: &Fields, headers: &mut HeaderMap) -> Result<()> {
    let mut put = |name: &str, value: &str| put_header(headers, &format!("{PREFIX}{name}"), value);
    let texts = [
        ("id", fields.id.as_ref().map(|id| id.as_str())),
        ("status", fields.status.as_deref()),
        ("store", fields.store.as_deref()),
        ("location", fields.location.as_deref()),
        ("name", text_of(&fields.name)),
        ("disk_format", text_of(&fields.disk_format)),
        ("container_format", text_of(&fields.container_format)),
        ("owner", text_of(&fields.owner)),
        ("checksum", checksum_text(&fields.checksum)),
    ];
    for (name, value) in texts {
        value.map_or(Ok(()), |value| put(name, value))?;
    }
    let virtual_size = match fields.virtual_size_bytes {
        Change::Keep => None,
        Change::Clear => Some("None".to_owned()),
        Change::Set(bytes) => Some(bytes.to_string()),
    };
    let numbers = [
        ("size", fields.size_bytes.map(|n| n.to_string())),
        ("virtual_size", virtual_size),
        ("min_disk", fields.min_disk_gb.map(|n| n.to_string())),
        ("min_ram", fields.min_ram_mb.map(|n| n.to_string())),
        ("is_public", fields.is_public.map(|b| b.to_string())),
        ("protected", fields.protected.map(|b| b.to_string())),
    ];
    for (name, value) in numbers {
        value.map_or(Ok(()), |value| put(name, &value))?;
    }
    for (key, value) in &fields.properties {
        put(
            &format!("property-{key}"),
            value.as_deref().unwrap_or_default(),
        )?;
    }
    match &fields.copy_from {
        Some(source) => put_header(headers, COPY_FROM, source),
        None => Ok(()),
    }
}

fn text_of(change: &Change<String>) -> Option<&str> {
    match change {
        Change::Keep => None,
        Change::Clear => Some(""),
        Change::Set(text) => Some(text),
    }
}

fn checksum_text(change: &Change<Checksum>) -> Option<&str> {
    match change {
        Change::Keep => None,
        Change::Clear => Some(""),
        Change::Set(checksum) => Some(checksum.as_str()),
    }
}

fn put_header(headers: &mut HeaderMap, name: &str, value: &str) -> Result<()> {
    let dashed = name.replace('_', "-");
    let header = HeaderName::from_bytes(dashed.as_bytes())
        .map_err(|cause| invalid(format!("{name} cannot be a header name.")).because(cause))?;
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|cause| {
        invalid(format!("The value of {name} has control characters.")).because(cause)
    })?;
    headers.insert(header, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        headers
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Fields> {
        MetaReader::default().read(&headers(pairs))
    }

    #[test]
    fn dashes_and_underscores_are_read_in_any_case() {
        for name in ["X-Image-Meta-Is-Public", "x-image-meta-is_public"] {
            assert_eq!(read(&[(name, "True")]).unwrap().is_public, Some(true));
        }
        let fields = read(&[("x-image-meta-property-Kernel-Id.v%41", "7")]).unwrap();
        assert!(fields.properties.contains_key("kernel_id.v%41"));
    }

    #[test]
    fn invalid_values_are_refused() {
        for (name, value) in [
            ("x-image-meta-foo", "1"),
            ("x-image-meta-type", "kernel"),
            ("x-image-meta-size", "-1"),
            ("x-image-meta-size", "1e9"),
            ("x-image-meta-size", "0x10"),
            ("x-image-meta-size", ""),
            ("x-image-meta-size", "+4"),
            ("x-image-meta-size", "9223372036854775808"),
            ("x-image-meta-size", "18446744073709551616"),
            ("x-image-meta-min_disk", "2147483648"),
            ("x-image-meta-min_ram", "1.5"),
            ("x-image-meta-virtual_size", "x"),
            ("x-image-meta-id", "../../etc/cron.d/x"),
            ("x-image-meta-checksum", "012345678901234567890123456789012"),
            ("x-image-meta-created_at", "yesterday"),
            ("x-image-meta-name", "\u{1F600}"),
            ("x-image-meta-property-", "x"),
            ("x-image-meta-property-glance_node_state", "boom"),
            ("X-Image-Meta-Property-Glance-Node-State", "{}"),
        ] {
            let error = read(&[(name, value)]).expect_err(name);
            assert_eq!(error.kind(), Kind::Invalid, "{name}: {value}");
        }
        let twice = read(&[("x-image-meta-size", "1"), ("x-image-meta-size", "1")]);
        assert!(twice.is_err());
    }

    #[test]
    fn bytes_are_utf8_and_stay_as_sent() {
        let mut raw = HeaderMap::new();
        let latin = HeaderValue::from_bytes(b"M\xFCnchen").unwrap();
        raw.insert("x-image-meta-name", latin);
        assert!(MetaReader::default().read(&raw).is_err());
        let sent = [("x-image-meta-name", "two%20words")];
        let value = |escaped| MetaReader { escaped }.read(&headers(&sent)).unwrap().name;
        assert_eq!(value(false), Change::Set("two%20words".to_owned()));
        assert_eq!(value(true), Change::Set("two words".to_owned()));
    }

    #[test]
    fn one_unescaped_header_shows_that_none_is_escaped() {
        let read = |sent: &[(&str, &str)]| {
            let reader = MetaReader { escaped: true };
            reader.read(&headers(sent)).unwrap()
        };
        let name = ("x-image-meta-name", "fifty%20off");
        let name_beside = |other| read(&[name, other]).name;
        let typed = Change::Set("fifty%20off".to_owned());
        for (header, value) in [
            ("x-image-meta-property-os", "10.04 LTS"),
            ("x-image-meta-property-note", "100%"),
            ("x-image-meta-property-note", "München"),
            ("x-glance-api-copy-from", "http://h/a%20b.img"),
            ("x-image-meta-location", "http://h/a%20b.img"),
        ] {
            assert_eq!(name_beside((header, value)), typed, "{header}: {value}");
        }
        for (header, value) in [
            ("x-image-meta-property-note", "100%25"),
            ("x-glance-api-copy-from", "http://h/a%2520b.img"),
            ("x-auth-token", "a b+c="),
        ] {
            let decoded = Change::Set("fifty off".to_owned());
            assert_eq!(name_beside((header, value)), decoded, "{header}: {value}");
        }
        let copy_from = |source| read(&[("x-glance-api-copy-from", source)]).copy_from;
        let kept = Some("http://h/a%20b.img".to_owned());
        assert_eq!(copy_from("http://h/a%20b.img"), kept);
        assert_eq!(copy_from("http://h/a%2520b.img"), kept);
    }

    #[test]
    fn names_may_have_255_characters() {
        let longest = "ü".repeat(255);
        assert!(read(&[("x-image-meta-name", &longest)]).is_ok());
        assert!(read(&[("x-image-meta-name", &"ü".repeat(256))]).is_err());
    }

    #[test]
    fn empty_values_clear() {
        let fields = read(&[("x-image-meta-name", ""), ("x-image-meta-property-a", "")]).unwrap();
        assert_eq!(fields.name, Change::Clear);
        assert_eq!(fields.properties["a"], None);
    }

    #[test]
    fn written_names_have_no_underscores() {
        let fields = read(&[
            ("x-image-meta-min_ram", "2"),
            ("x-image-meta-is_public", "on"),
            ("x-image-meta-property-kernel_id", "7"),
        ])
        .unwrap();
        let mut written = HeaderMap::new();
        write_fields(&fields, &mut written).unwrap();
        let mut names: Vec<&str> = written.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "x-image-meta-is-public",
                "x-image-meta-min-ram",
                "x-image-meta-property-kernel-id"
            ]
        );
    }

    #[test]
    fn written_fields_are_read_back() {
        let mut fields = read(&[
            ("x-image-meta-id", "71c675ab-d94f-49cd-a114-e12490b328d9"),
            ("x-image-meta-name", "München"),
            ("x-image-meta-size", "42"),
            ("x-image-meta-virtual_size", "None"),
            ("x-image-meta-disk_format", "raw"),
            ("x-image-meta-container_format", "bare"),
            ("x-image-meta-checksum", ""),
            ("x-image-meta-owner", "me"),
            ("x-image-meta-is_public", "on"),
            ("x-image-meta-protected", "no"),
            ("x-image-meta-min_disk", "1"),
            ("x-image-meta-min_ram", "2"),
            ("x-image-meta-property-os", "linux"),
            ("x-glance-api-copy-from", "http://example.org/x"),
        ])
        .unwrap();
        fields.store = Some("file".to_owned());
        let mut written = HeaderMap::new();
        write_fields(&fields, &mut written).unwrap();
        assert_eq!(MetaReader::default().read(&written).unwrap(), fields);
    }
}
