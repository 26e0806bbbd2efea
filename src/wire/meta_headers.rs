//! `x-image-meta-*` headers in responses: the metadata of one image.

use std::fmt::{Display, Write};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::json::ImageMeta;
use crate::image::Image;

pub(super) const PROPERTY_PREFIX: &str = "x-image-meta-property-";

/// The spelling of field names in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `x-image-meta-disk_format`, as all releases of Glance send them.
    Underscores,
    /// Also `x-image-meta-disk-format`, as in the first documents.
    UnderscoresAndDashes,
}

/// The header names of one field: with underscores, and with dashes if that differs.
pub(super) struct FieldName {
    pub(super) underscored: HeaderName,
    dashed: Option<HeaderName>,
}

macro_rules! field_names {
    ($($constant:ident $underscored:literal $($dashed:literal)?;)*) => {
        $(static $constant: FieldName = FieldName {
            underscored: HeaderName::from_static($underscored),
            dashed: field_names!(@dashed $($dashed)?),
        };)*
    };
    (@dashed) => { None };
    (@dashed $dashed:literal) => { Some(HeaderName::from_static($dashed)) };
}

field_names! {
    ID "x-image-meta-id";
    NAME "x-image-meta-name";
    STATUS "x-image-meta-status";
    SIZE "x-image-meta-size";
    VIRTUAL_SIZE "x-image-meta-virtual_size" "x-image-meta-virtual-size";
    DISK_FORMAT "x-image-meta-disk_format" "x-image-meta-disk-format";
    CONTAINER_FORMAT "x-image-meta-container_format" "x-image-meta-container-format";
    CHECKSUM "x-image-meta-checksum";
    OWNER "x-image-meta-owner";
    IS_PUBLIC "x-image-meta-is_public" "x-image-meta-is-public";
    PROTECTED "x-image-meta-protected";
    MIN_DISK "x-image-meta-min_disk" "x-image-meta-min-disk";
    MIN_RAM "x-image-meta-min_ram" "x-image-meta-min-ram";
    CREATED_AT "x-image-meta-created_at" "x-image-meta-created-at";
    UPDATED_AT "x-image-meta-updated_at" "x-image-meta-updated-at";
    DELETED_AT "x-image-meta-deleted_at" "x-image-meta-deleted-at";
    DELETED "x-image-meta-deleted";
    URI "x-image-meta-uri";
}

/// Receives the fields of an image, one header each.
pub(super) trait FieldSink {
    fn put(&mut self, name: &FieldName, value: Option<impl Display>);
    fn put_property(&mut self, key: &str, value: &str);
}

/// Writes all values into one shared buffer, so that a response costs one allocation instead of one
/// per field.
struct MapSink<'a> {
    headers: &'a mut HeaderMap,
    values: BytesMut,
    spelling: Spelling,
}

impl FieldSink for MapSink<'_> {
    fn put(&mut self, name: &FieldName, value: Option<impl Display>) {
        let Some(value) = value else { return };
        // Writing to a growing buffer cannot fail.
        let _ = write!(self.values, "{value}");
        let Some(value) = header_value(self.values.split().freeze()) else {
            return;
        };
        if let (Spelling::UnderscoresAndDashes, Some(dashed)) = (self.spelling, &name.dashed) {
            self.headers.insert(dashed.clone(), value.clone());
        }
        self.headers.insert(name.underscored.clone(), value);
    }

    fn put_property(&mut self, key: &str, value: &str) {
        self.values.extend_from_slice(value.as_bytes());
        // A property from JSON or an import may have a name that no header can have. Lists show
        // it.
        let value = header_value(self.values.split().freeze());
        if let (Some(name), Some(value)) = (property_name(key), value) {
            self.headers.insert(name, value);
        }
    }
}

/// Returns true if a header can carry a property of this name. Names with spaces, colons or letters
/// beyond ASCII cannot be part of a field name (RFC 9110, 5.1); lists still show them.
pub fn has_property_header(name: &str) -> bool {
    property_name(name).is_some()
}

fn property_name(key: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(format!("{PROPERTY_PREFIX}{key}").as_bytes()).ok()
}

fn header_value(bytes: Bytes) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(bytes).ok()
}

/// Writes every field of the image that is not null into the headers of a response. `uri` is the
/// image's URL, for responses that have it.
pub fn write_meta(image: &Image, spelling: Spelling, uri: Option<&str>, headers: &mut HeaderMap) {
    headers.reserve(24 + image.properties.len());
    let mut sink = MapSink {
        headers,
        values: BytesMut::with_capacity(512),
        spelling,
    };
    write_fields(image, uri, &mut sink);
}

/// Passes every field of the image that is not null to a sink.
pub(super) fn write_fields(image: &Image, uri: Option<&str>, sink: &mut impl FieldSink) {
    let bool_word = |value| if value { "True" } else { "False" };
    sink.put(&ID, Some(image.id));
    sink.put(&URI, uri);
    sink.put(&NAME, image.name.as_deref());
    sink.put(&STATUS, Some(image.status.as_str()));
    sink.put(&SIZE, Some(image.size_bytes));
    sink.put(&VIRTUAL_SIZE, image.virtual_size_bytes);
    sink.put(&DISK_FORMAT, image.disk_format.as_deref());
    sink.put(&CONTAINER_FORMAT, image.container_format.as_deref());
    sink.put(&CHECKSUM, image.checksum.as_ref());
    sink.put(&OWNER, image.owner.as_deref());
    sink.put(&IS_PUBLIC, Some(bool_word(image.visibility.is_public())));
    sink.put(&PROTECTED, Some(bool_word(image.protected)));
    sink.put(&MIN_DISK, Some(image.min_disk_gb));
    sink.put(&MIN_RAM, Some(image.min_ram_mb));
    sink.put(&CREATED_AT, Some(image.created_at));
    sink.put(&UPDATED_AT, Some(image.updated_at));
    sink.put(&DELETED_AT, image.deleted_at);
    sink.put(&DELETED, Some(bool_word(image.status.is_gone())));
    for (key, value) in &image.properties {
        if let Some(value) = value {
            sink.put_property(key, value);
        }
    }
}

/// Reads the metadata of a response, which [`write_meta`] writes. Unknown fields and unreadable
/// values are ignored, since servers of different releases differ in them.
pub fn read_meta(headers: &HeaderMap) -> ImageMeta {
    let mut meta = ImageMeta::default();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if let Some(property) = name.as_str().strip_prefix(PROPERTY_PREFIX) {
            meta.properties.insert(property.to_owned(), Some(text));
        } else if let Some(field) = name.as_str().strip_prefix("x-image-meta-") {
            read_field(&mut meta, &field.replace('-', "_"), text);
        }
    }
    meta
}

fn read_field(meta: &mut ImageMeta, field: &str, value: String) {
    let is_true = value.eq_ignore_ascii_case("true");
    let number = || value.parse().ok();
    match field {
        "id" => meta.id = value,
        "uri" => meta.uri = Some(value),
        "name" => meta.name = Some(value),
        "status" => meta.status = Some(value),
        "size" => meta.size = number(),
        "virtual_size" => meta.virtual_size = number(),
        "disk_format" => meta.disk_format = Some(value),
        "container_format" => meta.container_format = Some(value),
        "checksum" => meta.checksum = Some(value),
        "owner" => meta.owner = Some(value),
        "is_public" => meta.is_public = is_true,
        "protected" => meta.protected = is_true,
        "min_disk" => meta.min_disk = number(),
        "min_ram" => meta.min_ram = number(),
        "created_at" => meta.created_at = Some(value),
        "updated_at" => meta.updated_at = Some(value),
        "deleted_at" => meta.deleted_at = Some(value),
        "deleted" => meta.deleted = is_true,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageId, Timestamp, Visibility};

    fn image() -> Image {
        let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(1));
        image.name = Some("München".to_owned());
        image.disk_format = Some("raw".to_owned());
        image.visibility = Visibility::Public;
        image.min_ram_mb = 512;
        image
            .properties
            .insert("os_version".into(), Some("10.04 LTS".into()));
        image.properties.insert("empty".into(), None);
        image
    }

    #[test]
    fn nulls_are_left_out_and_booleans_are_in_python() {
        let mut headers = HeaderMap::new();
        write_meta(&image(), Spelling::Underscores, None, &mut headers);
        assert_eq!(headers["x-image-meta-is_public"], "True");
        assert_eq!(headers["x-image-meta-deleted"], "False");
        assert_eq!(headers["x-image-meta-property-os_version"], "10.04 LTS");
        for absent in [
            "x-image-meta-checksum",
            "x-image-meta-property-empty",
            "x-image-meta-disk-format",
            "x-image-meta-location",
        ] {
            assert!(!headers.contains_key(absent), "{absent}");
        }
    }

    #[test]
    fn unversioned_responses_have_both_spellings() {
        let mut headers = HeaderMap::new();
        let uri = Some("http://h/images/1");
        write_meta(&image(), Spelling::UnderscoresAndDashes, uri, &mut headers);
        assert_eq!(headers["x-image-meta-disk_format"], "raw");
        assert_eq!(headers["x-image-meta-disk-format"], "raw");
        assert_eq!(headers["x-image-meta-uri"], "http://h/images/1");
    }

    #[test]
    fn client_reads_written_headers() {
        let image = image();
        let mut headers = HeaderMap::new();
        write_meta(&image, Spelling::Underscores, None, &mut headers);
        let meta = read_meta(&headers);
        assert_eq!(meta.name, image.name);
        assert_eq!(meta.id, image.id.as_str());
        assert_eq!(meta.min_ram, Some(512));
        assert!(meta.is_public);
        assert_eq!(meta.properties["os_version"].as_deref(), Some("10.04 LTS"));
    }
}
