//! The client's side of the legacy registry protocol: images as Glance's own registry server sends
//! and accepts them.
//!
//! That protocol has no fields for an upload in progress, nor for what a delayed deletion removed
//! from an image. While an image has one of these, it is stored in a reserved property,
//! [`STATE_PROPERTY`], which clients never see.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{STATE_PROPERTY, is_reserved_property};
use crate::error::{Error, Kind, Result};
use crate::image::{
    Checksum, Image, ImageData, ImageId, Location, Properties, Status, Timestamp, Trashed, Upload,
    Visibility,
};

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct State {
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Upload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "set_aside")]
    trashed: Option<Box<Trashed>>,
}

#[derive(Deserialize)]
struct One {
    image: LegacyImage,
}

#[derive(Deserialize)]
struct Many {
    images: Vec<Value>,
}

/// An entry of a list. A registry may hold images that this release cannot read, such as one in a
/// status of a later Glance; they do not prevent reading the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// The identifier as the registry sent it; empty if the entry has none.
    pub id: String,
    /// The image without its members, or the reason why it cannot be read.
    pub image: std::result::Result<Image, String>,
}

/// Longest reason, in characters: it may quote a value of any length.
const MAX_REASON_CHARS: usize = 200;

/// An image as a legacy registry sends it. Registries differ in the fields that they omit.
#[derive(Deserialize)]
struct LegacyImage {
    id: ImageId,
    #[serde(default)]
    name: Option<String>,
    status: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    virtual_size: Option<u64>,
    #[serde(default)]
    disk_format: Option<String>,
    #[serde(default)]
    container_format: Option<String>,
    #[serde(default)]
    checksum: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    is_public: bool,
    #[serde(default)]
    protected: bool,
    #[serde(default)]
    min_disk: Option<u32>,
    #[serde(default)]
    min_ram: Option<u32>,
    created_at: String,
    #[serde(default)]
    updated_at: Option<String>,
    #[serde(default)]
    deleted_at: Option<String>,
    #[serde(default)]
    properties: Properties,
    #[serde(default)]
    location: Option<String>,
}

/// Reads `{"image":{...}}`. The image has no members, which the protocol lists separately.
///
/// # Errors
/// `Internal` for any other body.
pub fn read_legacy_image(body: &[u8]) -> Result<Image> {
    let one: One = serde_json::from_slice(body).map_err(Error::internal)?;
    one.image.into_image()
}

/// Reads `{"images":[...]}` with every field. Unreadable entries do not affect the others.
///
/// # Errors
/// `Internal` if the body is not a list.
pub fn read_legacy_list(body: &[u8]) -> Result<Vec<ListedImage>> {
    let many: Many = serde_json::from_slice(body).map_err(Error::internal)?;
    Ok(many.images.into_iter().map(ListedImage::read).collect())
}

/// Reads the identifiers of `{"images":[...]}`, whichever other fields the entries have.
///
/// # Errors
/// `Internal` if the body is not a list.
pub fn read_legacy_ids(body: &[u8]) -> Result<Vec<String>> {
    let many: Many = serde_json::from_slice(body).map_err(Error::internal)?;
    Ok(many.images.iter().map(id_of).collect())
}

fn id_of(entry: &Value) -> String {
    entry["id"].as_str().unwrap_or_default().to_owned()
}

impl ListedImage {
    fn read(entry: Value) -> Self {
        let id = id_of(&entry);
        let read = LegacyImage::deserialize(entry).map_err(|error| error.to_string());
        let image = read.and_then(|standard| {
            let image = standard.into_image();
            image.map_err(|error| error.cause().unwrap_or_else(|| error.to_string()))
        });
        let image = image.map_err(|reason| reason.chars().take(MAX_REASON_CHARS).collect());
        Self { id, image }
    }
}

impl LegacyImage {
    fn into_image(mut self) -> Result<Image> {
        let malformed = |what: &str| {
            let id = self.id;
            Error::internal(format!("the registry server's image {id} has a bad {what}"))
        };
        let time = |text: &str| Timestamp::parse(text).ok_or_else(|| malformed("time"));
        let created_at = time(&self.created_at)?;
        let updated_at = self.updated_at.as_deref().map(time).transpose()?;
        let deleted_at = self.deleted_at.as_deref().map(time).transpose()?;
        let status = Status::from_word(&self.status).ok_or_else(|| malformed("status"))?;
        // Removed here, so that neither lists nor updates show the reserved property as one of the
        // image's own.
        let state = self.properties.remove(STATE_PROPERTY).flatten();
        let state = state
            .map(|text| serde_json::from_str::<State>(&text))
            .transpose();
        let state = state.map_err(Error::internal)?.unwrap_or_default();
        // A checksum that no header can have is dropped: it could only fail to match.
        let checksum = self.checksum.as_deref().and_then(Checksum::stated);
        let size_bytes = self.size.unwrap_or_default();
        let location = self.location.filter(|uri| !uri.is_empty());
        let location = location.map(|uri| Location::parse(&uri)).transpose();
        let data = location
            .map_err(Error::internal)?
            .map(|location| ImageData::new(location, size_bytes, checksum.clone()));
        Ok(Image {
            id: self.id,
            name: self.name,
            status,
            size_bytes,
            virtual_size_bytes: self.virtual_size,
            disk_format: self.disk_format,
            container_format: self.container_format,
            checksum,
            owner: self.owner,
            visibility: Visibility::default().with_is_public(self.is_public),
            protected: self.protected,
            min_disk_gb: self.min_disk.unwrap_or_default(),
            min_ram_mb: self.min_ram.unwrap_or_default(),
            created_at,
            updated_at: updated_at.unwrap_or(created_at),
            deleted_at,
            properties: self.properties,
            members: Vec::new(),
            data,
            upload: state.upload,
            trashed: state.trashed,
            damaged_since: None,
            tags: std::collections::BTreeSet::new(),
            os_hidden: false,
            secure_hash: None,
            unknown: std::collections::BTreeMap::new(),
        })
    }
}

/// Writes the body of POST and PUT: every field, and the status that the image must have now.
///
/// # Errors
/// `Conflict` for an image with fields of the v2 API, which the protocol would silently drop;
/// `Internal`.
pub fn write_legacy_body(image: &Image, from_state: Option<Status>) -> Result<Vec<u8>> {
    if image.stored_format() > 1 {
        let message = format!(
            "Image {} uses features of the v2 API, which a registry server of Glance cannot store.",
            image.id
        );
        return Err(Error::new(Kind::Conflict, message));
    }
    let mut properties = image.properties.clone();
    // An image from another registry may have a property of the reserved name.
    properties.retain(|name, _| !is_reserved_property(name));
    if image.upload.is_some() || image.trashed.is_some() {
        let state = State {
            upload: image.upload.clone(),
            trashed: image.trashed.clone(),
        };
        let text = serde_json::to_string(&state).map_err(Error::internal)?;
        properties.insert(STATE_PROPERTY.to_owned(), Some(text));
    }
    let location = image.data.as_ref().map(|data| {
        let location = data.location();
        format!("{}:{}", location.scheme(), location.expose_rest())
    });
    let mut fields = json!({
        "id": image.id,
        "name": image.name,
        "status": image.status.as_str(),
        "size": image.size_bytes,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "checksum": image.checksum,
        "owner": image.owner,
        "is_public": image.visibility.is_public(),
        "protected": image.protected,
        "min_disk": image.min_disk_gb,
        "min_ram": image.min_ram_mb,
        "properties": properties,
    });
    let mut message = Map::new();
    if let Some(fields) = fields.as_object_mut() {
        if let Some(virtual_size) = image.virtual_size_bytes {
            // Early releases of Glance refuse fields that they do not know.
            fields.insert("virtual_size".to_owned(), json!(virtual_size));
        }
        if let Some(url) = location {
            let data = json!([{ "url": url, "metadata": {}, "status": "active" }]);
            fields.insert("location_data".to_owned(), data);
            fields.insert("location".to_owned(), json!(url));
        }
    }
    message.insert("image".to_owned(), fields);
    if let Some(status) = from_state {
        message.insert("from_state".to_owned(), Value::from(status.as_str()));
    }
    serde_json::to_vec(&message).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::super::legacy_server::{LegacyReader, parse_legacy_body, write_legacy_image};
    use super::*;

    fn image() -> Image {
        let now = Timestamp::from_micros(1_700_000_000_000_001);
        let mut image = Image::queued(ImageId::random(), now);
        image.name = Some("ü".to_owned());
        image.properties.insert("a".to_owned(), None);
        image
            .properties
            .insert("b".to_owned(), Some("x".to_owned()));
        image.size_bytes = 7;
        image.checksum = Checksum::stated(&"ab".repeat(16));
        image.owner = Some("tenant".to_owned());
        image
    }

    #[test]
    fn images_of_a_legacy_registry_are_read() {
        let mut image = image();
        image.status = Status::Active;
        image.data = Some(ImageData::new(
            Location::parse("file:///x").unwrap(),
            7,
            image.checksum.clone(),
        ));
        assert_eq!(
            read_legacy_image(&write_legacy_image(&image, LegacyReader::ApiServer).unwrap())
                .unwrap(),
            image
        );
        let few = br#"{"images":[{"id":"00000000-0000-4000-8000-000000000001","status":"queued",
            "created_at":"2012-02-03T09:34:01Z","size":null}]}"#;
        let few = read_legacy_list(few).unwrap();
        let few = few[0].image.as_ref().unwrap();
        assert_eq!(few.updated_at.format().as_str(), "2012-02-03T09:34:01");
        assert!(read_legacy_image(b"{}").is_err());
        assert!(read_legacy_list(b"{}").is_err());
    }

    #[test]
    fn unreadable_image_does_not_affect_others() {
        let mut good = image();
        good.status = Status::Active;
        let good = write_legacy_image(&good, LegacyReader::ApiServer).unwrap();
        let good: Value = serde_json::from_slice(&good).unwrap();
        let mut entries = vec![good["image"].clone()];
        for (field, value) in [
            ("status", json!("importing")),
            ("status", Value::Null),
            ("location", json!("no-scheme")),
            ("created_at", json!("yesterday")),
            ("min_disk", json!(-1)),
            ("id", json!("7")),
            ("id", Value::Null),
            ("checksum", json!([])),
            ("properties", json!({ "glance_node_state": "boom" })),
            (
                "properties",
                json!({ "glance_node_state": "{\"upload\":7}" }),
            ),
        ] {
            let mut bad = good["image"].clone();
            bad[field] = value;
            entries.push(bad);
        }
        entries.push(json!("x".repeat(1000)));
        let body = serde_json::to_vec(&json!({ "images": entries })).unwrap();
        let list = read_legacy_list(&body).unwrap();
        assert_eq!(list.len(), entries.len());
        assert_eq!(list[0].id, good["image"]["id"]);
        assert!(list[0].image.is_ok());
        for (entry, sent) in list.iter().zip(&entries).skip(1) {
            let reason = entry.image.as_ref().expect_err(&sent.to_string());
            assert!(
                reason.len() <= MAX_REASON_CHARS && !reason.is_empty(),
                "{reason}"
            );
        }
        assert_eq!(read_legacy_ids(&body).unwrap()[6], "7");
    }

    #[test]
    fn v2_features_are_refused() {
        let mut image = image();
        image.visibility = Visibility::Community;
        let error = write_legacy_body(&image, None).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
    }

    #[test]
    fn written_body_is_read_without_loss() {
        let mut image = image();
        image.status = Status::Saving;
        image.upload = Some(Upload {
            id: uuid::Uuid::from_u128(7),
            store: "file".to_owned(),
            started_at: image.created_at,
            reserved_bytes: 5,
            node: Some("node".to_owned()),
            process: None,
            on_failure: Default::default(),
        });
        let body = write_legacy_body(&image, Some(Status::Queued)).unwrap();
        let (fields, from_state) = parse_legacy_body(&body).unwrap();
        assert_eq!(from_state.as_deref(), Some("queued"));
        assert_eq!(fields.status.as_deref(), Some("saving"));
        let kept = Image {
            properties: fields.properties,
            upload: None,
            ..image.clone()
        };
        let seen = read_legacy_image(&write_legacy_image(&kept, LegacyReader::ApiServer).unwrap())
            .unwrap();
        assert_eq!(seen, image);
    }
}
