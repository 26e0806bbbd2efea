//! Images as JSON: lists, details and the responses to POST and PUT.
//!
//! The server writes fields directly into the response's buffer, without an intermediate value,
//! because lists may have thousands of images. The client reads with serde.

use serde::{Deserialize, Serialize};

use crate::image::{Image, Properties};
use crate::transfer::TextRenderer;

/// An image as a client of the v1 API sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageMeta {
    /// The identifier, as text, since other servers may have other grammars.
    pub id: String,
    /// The image's URL, if the server sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    pub name: Option<String>,
    pub status: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// Bytes.
    pub virtual_size: Option<u64>,
    pub disk_format: Option<String>,
    pub container_format: Option<String>,
    /// MD5, 32 lower-case hexadecimal digits.
    pub checksum: Option<String>,
    pub owner: Option<String>,
    pub is_public: bool,
    pub protected: bool,
    /// GB.
    pub min_disk: Option<u64>,
    /// MB.
    pub min_ram: Option<u64>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub deleted_at: Option<String>,
    pub deleted: bool,
    pub properties: Properties,
}

/// A list as a client reads it: `{"images": [...]}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Listing {
    /// The images, in the order of the list.
    pub images: Vec<ImageMeta>,
}

/// Returns the text `{"images":[...]}` of a list of images, in their order. `uri_base` is the part
/// of each entry's `uri` before the identifier; without it the entries have no `uri`.
pub fn listing<I>(images: I, detailed: bool, uri_base: Option<String>) -> impl TextRenderer
where
    I: Iterator<Item: AsRef<Image>>,
{
    let write = match detailed {
        true => write_detail,
        false => write_index_entry,
    };
    ListingText::new(images, move |out: &mut Vec<u8>, image: &Image| {
        write(out, image, uri_base.as_deref());
    })
}

/// Renders `{"images":[...]}`, one image at a time.
pub(super) struct ListingText<I, W> {
    images: I,
    write: W,
    is_begun: bool,
    /// True after the first entry, so that the next one starts with a comma.
    has_entries: bool,
}

impl<I, W> ListingText<I, W> {
    /// Creates the text of these images, each of which `write` appends. An image for which `write`
    /// appends nothing is left out.
    pub(super) fn new(images: I, write: W) -> Self {
        Self {
            images,
            write,
            is_begun: false,
            has_entries: false,
        }
    }
}

impl<I, W> TextRenderer for ListingText<I, W>
where
    I: Iterator<Item: AsRef<Image>>,
    W: FnMut(&mut Vec<u8>, &Image),
{
    fn render(&mut self, out: &mut Vec<u8>) -> bool {
        if !std::mem::replace(&mut self.is_begun, true) {
            out.extend_from_slice(b"{\"images\":[");
        }
        let Some(image) = self.images.next() else {
            out.extend_from_slice(b"]}");
            return false;
        };
        let before = out.len();
        if self.has_entries {
            out.push(b',');
        }
        let begin = out.len();
        (self.write)(out, image.as_ref());
        // The image could not be written; its comma must not remain either.
        if out.len() == begin {
            out.truncate(before);
        } else {
            self.has_entries = true;
        }
        true
    }
}

/// Writes `{"image":{...}}`, the response to POST and PUT.
pub fn write_image(image: &Image, uri_base: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"image\":");
    write_detail(&mut out, image, uri_base);
    out.push(b'}');
    out
}

/// Writes all fields that clients may see. The location is not among them: it may contain
/// credentials (CVE-2013-1840).
pub fn write_detail(out: &mut Vec<u8>, image: &Image, uri_base: Option<&str>) {
    write_common(out, image, uri_base);
    text_field(out, "status", Some(image.status.as_str()));
    number_field(out, "virtual_size", image.virtual_size_bytes);
    text_field(out, "owner", image.owner.as_deref());
    bool_field(out, "is_public", image.visibility.is_public());
    bool_field(out, "protected", image.protected);
    number_field(out, "min_disk", Some(image.min_disk_gb.into()));
    number_field(out, "min_ram", Some(image.min_ram_mb.into()));
    text_field(out, "created_at", Some(image.created_at.format().as_str()));
    text_field(out, "updated_at", Some(image.updated_at.format().as_str()));
    let deleted_at = image.deleted_at.map(|time| time.format());
    text_field(
        out,
        "deleted_at",
        deleted_at.as_ref().map(|text| text.as_str()),
    );
    bool_field(out, "deleted", image.status.is_gone());
    write_properties(out, image);
    out.push(b'}');
}

fn write_index_entry(out: &mut Vec<u8>, image: &Image, uri_base: Option<&str>) {
    write_common(out, image, uri_base);
    out.push(b'}');
}

/// Writes the fields of an index entry, which details have too. The object stays open.
fn write_common(out: &mut Vec<u8>, image: &Image, uri_base: Option<&str>) {
    out.extend_from_slice(b"{\"id\":");
    text(out, image.id.as_str());
    if let Some(base) = uri_base {
        text_field(out, "uri", Some(&format!("{base}{}", image.id)));
    }
    text_field(out, "name", image.name.as_deref());
    number_field(out, "size", Some(image.size_bytes));
    text_field(out, "disk_format", image.disk_format.as_deref());
    text_field(out, "container_format", image.container_format.as_deref());
    text_field(
        out,
        "checksum",
        image.checksum.as_ref().map(|sum| sum.as_str()),
    );
}

fn write_properties(out: &mut Vec<u8>, image: &Image) {
    out.extend_from_slice(b",\"properties\":{");
    for (position, (key, value)) in image.properties.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        text(out, key);
        out.push(b':');
        optional_text(out, value.as_deref());
    }
    out.push(b'}');
}

fn key(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text_field(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    key(out, name);
    optional_text(out, value);
}

fn number_field(out: &mut Vec<u8>, name: &str, value: Option<u64>) {
    key(out, name);
    match value {
        Some(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
}

fn bool_field(out: &mut Vec<u8>, name: &str, value: bool) {
    key(out, name);
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn optional_text(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// Writes a JSON string. Text that needs no escapes, which is nearly all, is copied whole.
pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if value.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    } else {
        // Writing to a vector and serializing a string cannot fail.
        let _ = serde_json::to_writer(&mut *out, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Checksum, ImageId, Status, Timestamp};

    fn image() -> Image {
        let id: ImageId = "71c675ab-d94f-49cd-a114-e12490b328d9".parse().unwrap();
        let mut image = Image::queued(id, Timestamp::from_micros(1_265_189_641_000_042));
        image.name = Some("a \"quoted\" \\ name\nü".to_owned());
        image.status = Status::Active;
        image.size_bytes = 42;
        image.checksum = Some(Checksum::of(&[0xab; 16]));
        image.properties.insert("os".into(), Some("linux".into()));
        image.properties.insert("none".into(), None);
        image
    }

    fn written(mut text: impl TextRenderer) -> Vec<u8> {
        let mut out = Vec::new();
        while text.render(&mut out) {}
        out
    }

    #[test]
    fn list_keeps_the_order_and_skips_unwritable_images() {
        assert_eq!(
            written(listing(std::iter::empty::<&Image>(), true, None)),
            b"{\"images\":[]}"
        );
        let images = [image(), image(), image()];
        let mut written_before = 0;
        let skipping = ListingText::new(images.iter(), |out: &mut Vec<u8>, _: &Image| {
            written_before += 1;
            if written_before != 1 {
                out.extend_from_slice(b"1");
            }
        });
        assert_eq!(written(skipping), b"{\"images\":[1,1]}");
    }

    #[test]
    fn detail_is_read_back_whole() {
        let image = image();
        let json = written(listing(
            [&image].into_iter(),
            true,
            Some("http://h/images/".into()),
        ));
        let listing: Listing = serde_json::from_slice(&json).unwrap();
        let meta = &listing.images[0];
        assert_eq!(meta.name, image.name);
        assert_eq!(meta.size, Some(42));
        assert_eq!(
            meta.uri.as_deref(),
            Some("http://h/images/71c675ab-d94f-49cd-a114-e12490b328d9")
        );
        assert_eq!(
            meta.created_at.as_deref(),
            Some("2010-02-03T09:34:01.000042")
        );
        assert_eq!(meta.properties, image.properties);
        assert_eq!(meta.checksum.as_deref(), Some("ab".repeat(16).as_str()));
    }

    #[test]
    fn detail_has_exactly_the_fields_of_v1() {
        let json = write_image(&image(), None);
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let mut names: Vec<&String> = value["image"].as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(
            names,
            [
                "checksum",
                "container_format",
                "created_at",
                "deleted",
                "deleted_at",
                "disk_format",
                "id",
                "is_public",
                "min_disk",
                "min_ram",
                "name",
                "owner",
                "properties",
                "protected",
                "size",
                "status",
                "updated_at",
                "virtual_size"
            ]
        );
    }

    #[test]
    fn index_entry_has_six_fields() {
        let json = written(listing([&image()].into_iter(), false, None));
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let entry = value["images"][0].as_object().unwrap();
        assert_eq!(entry.len(), 6);
        assert!(entry.contains_key("container_format"));
    }
}
