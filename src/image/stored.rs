//! The JSON form of an image in records, dumps and messages between servers.
//!
//! There are two formats. Format 1 is that of the first release: `is_public`, and data with one
//! `location`. Format 2 has `visibility` in place of `is_public`, and the fields of the v2 API.
//! An image is written in format 1 whenever that release would handle it correctly, so that
//! servers of both releases can share a registry, and an upgrade can be undone, until a feature
//! of v2 is used. An older server refuses format 2: by the number in stored records, and for
//! the missing `is_public` in messages.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Checksum, Image, ImageData, ImageId, Member, Properties, SecureHash, Status, Timestamp,
    Trashed, Upload, Visibility,
};

/// Reads both formats, and writes either. The order of fields is that of format 1.
#[derive(Serialize, Deserialize)]
struct StoredImage<'a> {
    id: ImageId,
    name: Option<Cow<'a, str>>,
    status: Status,
    size: u64,
    virtual_size: Option<u64>,
    disk_format: Option<Cow<'a, str>>,
    container_format: Option<Cow<'a, str>>,
    checksum: Option<Cow<'a, Checksum>>,
    owner: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is_public: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    visibility: Option<Visibility>,
    protected: bool,
    min_disk: u32,
    min_ram: u32,
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
    properties: Cow<'a, Properties>,
    #[serde(default)]
    members: Cow<'a, [Member]>,
    #[serde(default)]
    data: Option<Cow<'a, ImageData>>,
    #[serde(default)]
    upload: Option<Cow<'a, Upload>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set_aside: Option<Cow<'a, Trashed>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    damaged_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_empty")]
    tags: Cow<'a, BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "is_false")]
    os_hidden: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    os_hash_algo: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    os_hash_value: Option<Cow<'a, str>>,
    #[serde(flatten)]
    unknown: Cow<'a, BTreeMap<String, serde_json::Value>>,
}

/// Neither `is_public` nor `visibility` is there.
const NO_VISIBILITY: &str = "missing field `visibility`";

fn is_empty(tags: &BTreeSet<String>) -> bool {
    tags.is_empty()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Image {
    /// Returns the number of the oldest format that holds this image: 1 or 2.
    pub fn stored_format(&self) -> u8 {
        let has_plain_visibility =
            matches!(self.visibility, Visibility::Public | Visibility::Shared);
        let trashed = self.trashed.iter().flat_map(|trashed| &trashed.members);
        // The previous release would lose an answer with the next change of the image.
        let has_answers = self
            .members
            .iter()
            .chain(trashed)
            .any(|member| !member.status.is_pending());
        let fits_format_1 = has_plain_visibility
            && !has_answers
            && self.tags.is_empty()
            && !self.os_hidden
            && self.secure_hash.is_none()
            && self.data.as_ref().is_none_or(ImageData::fits_format_1);
        if fits_format_1 { 1 } else { 2 }
    }
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Format 2 omits `is_public`, so that an older server fails to read the image instead of
        // ignoring what it does not know.
        let is_format_1 = self.stored_format() == 1;
        let hash = self.secure_hash.as_ref();
        StoredImage {
            id: self.id,
            name: self.name.as_deref().map(Cow::Borrowed),
            status: self.status,
            size: self.size_bytes,
            virtual_size: self.virtual_size_bytes,
            disk_format: self.disk_format.as_deref().map(Cow::Borrowed),
            container_format: self.container_format.as_deref().map(Cow::Borrowed),
            checksum: self.checksum.as_ref().map(Cow::Borrowed),
            owner: self.owner.as_deref().map(Cow::Borrowed),
            is_public: is_format_1.then(|| self.visibility.is_public()),
            visibility: (!is_format_1).then_some(self.visibility),
            protected: self.protected,
            min_disk: self.min_disk_gb,
            min_ram: self.min_ram_mb,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            properties: Cow::Borrowed(&self.properties),
            members: Cow::Borrowed(&self.members),
            data: self.data.as_ref().map(Cow::Borrowed),
            upload: self.upload.as_ref().map(Cow::Borrowed),
            set_aside: self.trashed.as_deref().map(Cow::Borrowed),
            damaged_since: self.damaged_since,
            tags: Cow::Borrowed(&self.tags),
            os_hidden: self.os_hidden,
            os_hash_algo: hash.map(|hash| Cow::Borrowed(hash.algorithm.as_str())),
            os_hash_value: hash.map(|hash| Cow::Borrowed(hash.value.as_str())),
            unknown: Cow::Borrowed(&self.unknown),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredImage::deserialize(deserializer)?;
        let visibility = match (stored.visibility, stored.is_public) {
            (Some(visibility), _) => visibility,
            (None, Some(is_public)) => Visibility::default().with_is_public(is_public),
            (None, None) => return Err(serde::de::Error::custom(NO_VISIBILITY)),
        };
        let secure_hash = match (stored.os_hash_algo, stored.os_hash_value) {
            (Some(algorithm), Some(value)) => Some(SecureHash {
                algorithm: algorithm.into_owned(),
                value: value.into_owned(),
            }),
            _ => None,
        };
        Ok(Self {
            id: stored.id,
            name: stored.name.map(Cow::into_owned),
            status: stored.status,
            size_bytes: stored.size,
            virtual_size_bytes: stored.virtual_size,
            disk_format: stored.disk_format.map(Cow::into_owned),
            container_format: stored.container_format.map(Cow::into_owned),
            checksum: stored.checksum.map(Cow::into_owned),
            owner: stored.owner.map(Cow::into_owned),
            visibility,
            protected: stored.protected,
            min_disk_gb: stored.min_disk,
            min_ram_mb: stored.min_ram,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            deleted_at: stored.deleted_at,
            properties: stored.properties.into_owned(),
            members: stored.members.into_owned(),
            data: stored.data.map(Cow::into_owned),
            upload: stored.upload.map(Cow::into_owned),
            trashed: stored
                .set_aside
                .map(|trashed| Box::new(trashed.into_owned())),
            damaged_since: stored.damaged_since,
            tags: stored.tags.into_owned(),
            os_hidden: stored.os_hidden,
            secure_hash,
            unknown: stored.unknown.into_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
