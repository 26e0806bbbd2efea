//! The server's side of the legacy registry protocol: images as Glance's API servers exchange them
//! with its registry server.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::STATE_PROPERTY;
use crate::error::{Error, Kind, Result};
use crate::image::{Change, Checksum, Fields, Image, Properties};
use crate::transfer::TextRenderer;
use crate::wire::json::{ListingText, write_detail};

#[derive(Deserialize)]
struct Body {
    image: LegacyBody,
    from_state: Option<String>,
}

/// The fields of an image in a request. A field with the value `null` is cleared; an absent one is
/// kept.
#[derive(Deserialize, Default)]
#[serde(default)]
struct LegacyBody {
    id: Option<String>,
    status: Option<String>,
    #[serde(deserialize_with = "explicit")]
    name: Change<String>,
    size: Option<u64>,
    #[serde(deserialize_with = "explicit")]
    virtual_size: Change<u64>,
    #[serde(deserialize_with = "explicit")]
    disk_format: Change<String>,
    #[serde(deserialize_with = "explicit")]
    container_format: Change<String>,
    #[serde(deserialize_with = "explicit")]
    checksum: Change<String>,
    #[serde(deserialize_with = "explicit")]
    owner: Change<String>,
    is_public: Option<bool>,
    protected: Option<bool>,
    min_disk: Option<u32>,
    min_ram: Option<u32>,
    properties: Properties,
    location: Option<String>,
    location_data: Vec<LocationData>,
}

#[derive(Deserialize)]
struct LocationData {
    url: String,
}

fn explicit<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Change<T>, D::Error> {
    let value = Option::deserialize(deserializer)?;
    Ok(value.map_or(Change::Clear, Change::Set))
}

/// Reads the body of POST and PUT: the fields of the image, and the status that it must have for a
/// PUT, if the body states one.
///
/// # Errors
/// `Invalid`.
pub fn parse_legacy_body(body: &[u8]) -> Result<(Fields, Option<String>)> {
    let malformed = |cause| {
        let message = "The body is no {\"image\": {...}} as a registry takes it.";
        Error::new(Kind::Invalid, message).because(cause)
    };
    let body: Body = serde_json::from_slice(body).map_err(malformed)?;
    let image = body.image;
    let id =
        match image.id {
            None => None,
            Some(id) => {
                let id = id.parse();
                Some(id.map_err(|error| {
                    Error::new(Kind::Invalid, format!("Invalid image id: {error}"))
                })?)
            }
        };
    let fields = Fields {
        id,
        name: image.name,
        status: image.status,
        size_bytes: image.size,
        virtual_size_bytes: image.virtual_size,
        disk_format: image.disk_format,
        container_format: image.container_format,
        checksum: checksum(image.checksum)?,
        owner: image.owner,
        is_public: image.is_public,
        protected: image.protected,
        min_disk_gb: image.min_disk,
        min_ram_mb: image.min_ram,
        properties: image.properties,
        location: image
            .location
            .or_else(|| image.location_data.into_iter().next().map(|data| data.url)),
        ..Fields::default()
    };
    Ok((fields, body.from_state))
}

fn checksum(explicit: Change<String>) -> Result<Change<Checksum>> {
    Ok(match explicit {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(text) => Change::Set(Checksum::stated(&text).ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                "Invalid checksum: at most 32 characters wanted.",
            )
        })?),
    })
}

/// The reader of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyReader {
    /// An API server, which needs the location of the data.
    ApiServer,
    /// A user, who must not see the location: it may contain credentials of the service
    /// (CVE-2013-1840).
    User,
}

/// Writes `{"image":{...}}`.
pub fn write_legacy_image(image: &Image, reader: LegacyReader) -> Result<Vec<u8>> {
    serde_json::to_vec(&json!({ "image": value(image, reader)? })).map_err(Error::internal)
}

/// Returns the text `{"images":[...]}` of a list of images, each as in [`write_legacy_image`].
pub fn legacy_listing<I>(images: I, reader: LegacyReader) -> impl TextRenderer
where
    I: Iterator<Item: AsRef<Image>>,
{
    ListingText::new(images, move |out: &mut Vec<u8>, image: &Image| {
        let begin = out.len();
        let written = value(image, reader)
            .and_then(|value| serde_json::to_writer(&mut *out, &value).map_err(Error::internal));
        if let Err(error) = written {
            out.truncate(begin);
            tracing::error!(image = %image.id, ?error, "the image is missing in a list");
        }
    })
}

/// Returns the fields that clients of the image API see, and those that only this reader may see.
fn value(image: &Image, reader: LegacyReader) -> Result<Value> {
    let mut detail = Vec::new();
    write_detail(&mut detail, image, None);
    let mut value: Value = serde_json::from_slice(&detail).map_err(Error::internal)?;
    if reader == LegacyReader::User
        && let Some(properties) = value["properties"].as_object_mut()
    {
        properties.remove(STATE_PROPERTY);
    }
    let data = image
        .data
        .as_ref()
        .filter(|_| reader == LegacyReader::ApiServer);
    let location = data.map(|data| {
        let location = data.location();
        format!("{}:{}", location.scheme(), location.expose_rest())
    });
    if let Some(fields) = value.as_object_mut() {
        let data = location
            .iter()
            .map(|url| json!({ "url": url, "metadata": {}, "status": "active" }));
        fields.insert("location_data".to_owned(), data.collect());
        fields.insert("location".to_owned(), json!(location));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageData, ImageId, Location, Timestamp};

    #[test]
    fn only_api_servers_see_the_location() {
        let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(1));
        let absent: Value =
            serde_json::from_slice(&write_legacy_image(&image, LegacyReader::ApiServer).unwrap())
                .unwrap();
        assert_eq!(absent["image"]["location"], Value::Null);
        assert_eq!(absent["image"]["location_data"], json!([]));
        image.data = Some(ImageData::new(
            Location::parse("file:///x").unwrap(),
            1,
            None,
        ));
        let stored = image;
        let image = write_legacy_image(&stored, LegacyReader::ApiServer).unwrap();
        let image: Value = serde_json::from_slice(&image).unwrap();
        assert_eq!(image["image"]["location"], "file:///x");
        let data = json!([{ "url": "file:///x", "metadata": {}, "status": "active" }]);
        assert_eq!(image["image"]["location_data"], data);
        let user = write_legacy_image(&stored, LegacyReader::User).unwrap();
        let user: Value = serde_json::from_slice(&user).unwrap();
        assert_eq!(user, absent);
    }

    #[test]
    fn null_clears_and_absent_fields_stay() {
        let body = br#"{"image":{"name":null,"size":3,"owner":"o","location_data":[{"url":"file:///x","metadata":{}}]},
            "from_state":"saving"}"#;
        let (fields, from_state) = parse_legacy_body(body).unwrap();
        assert_eq!(fields.name, Change::Clear);
        assert_eq!(fields.disk_format, Change::Keep);
        assert_eq!(fields.owner, Change::Set("o".to_owned()));
        assert_eq!(fields.size_bytes, Some(3));
        assert_eq!(fields.location.as_deref(), Some("file:///x"));
        assert_eq!(from_state.as_deref(), Some("saving"));
        for wrong in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"image":{"size":-1}}"#,
            br#"{"image":{"id":"7"}}"#,
            br#"{"image":{"checksum":"123456789012345678901234567890123"}}"#,
        ] {
            assert_eq!(parse_legacy_body(wrong).unwrap_err().kind(), Kind::Invalid);
        }
    }
}
