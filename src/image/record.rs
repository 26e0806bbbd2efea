//! The image itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Checksum, ImageId, Location, Member, Status, Timestamp};

/// Free-form properties; a property set to nothing is kept as `None`.
pub type Properties = BTreeMap<String, Option<String>>;

/// All that the registry knows of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The identifier, taken for ever.
    pub id: ImageId,
    /// Not unique, at most 255 characters.
    pub name: Option<String>,
    /// Where the image is in its life.
    pub status: Status,
    /// The size in bytes that clients see: stated until the data are in, then measured.
    #[serde(rename = "size")]
    pub size_bytes: u64,
    /// The size in bytes of the disk the image unpacks to.
    #[serde(rename = "virtual_size")]
    pub virtual_size_bytes: Option<u64>,
    /// How the disk is encoded.
    pub disk_format: Option<String>,
    /// What the disk is wrapped in.
    pub container_format: Option<String>,
    /// The MD5 clients see: stated until the data are in, then computed.
    pub checksum: Option<Checksum>,
    /// The tenant that owns the image; nobody where there is no identity service.
    pub owner: Option<String>,
    /// Whether every tenant may use it.
    pub is_public: bool,
    /// Whether it is safe from deletion.
    pub protected: bool,
    /// Smallest disk to boot from, GB.
    #[serde(rename = "min_disk")]
    pub min_disk_gb: u32,
    /// Smallest memory to boot with, MB.
    #[serde(rename = "min_ram")]
    pub min_ram_mb: u32,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When its record last changed.
    pub updated_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Free-form properties.
    pub properties: Properties,
    /// Tenants it is shared with.
    #[serde(default)]
    pub members: Vec<Member>,
    /// The data, once they are complete; still there while a deletion is being carried out.
    #[serde(default)]
    pub data: Option<ImageData>,
    /// The upload under way, a copy that waits for its turn, or an upload whose remains are
    /// still to be removed.
    #[serde(default)]
    pub upload: Option<Upload>,
    /// What a delayed deletion took from clients and a restoration gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "set_aside")]
    pub trashed: Option<Box<Trashed>>,
    /// Since when the data in the store are known not to match their MD5: then they are not
    /// served. `None` once they match again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged_since: Option<Timestamp>,
    /// Fields of a newer release, which this one keeps as they are: in a cluster whose servers
    /// are upgraded one after the other, a change made here must not drop them.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// What an image that waits for the scrubber has no more and may get back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trashed {
    /// Its properties.
    pub properties: Properties,
    /// The tenants it was shared with.
    pub members: Vec<Member>,
}

/// Complete image data in a store.
///
/// Kept apart from what clients see: an administrator may restate the size of an active
/// image, which does not change what is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageData {
    /// Where the bytes are.
    pub location: Location,
    /// How many bytes there are.
    pub size_bytes: u64,
    /// The MD5 of the bytes, where it was computed.
    pub checksum: Option<Checksum>,
}

/// Where an upload puts its bytes. Recorded before the first byte is written, so that no
/// byte in a store is without a record, whatever happens to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// This upload and no other.
    pub id: Uuid,
    /// The scheme of the store that takes it.
    pub store: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Bytes that it may have put there by now, so that whoever bounds them counts these.
    /// What is of unknown length reserves more as it grows.
    #[serde(default)]
    pub reserved_bytes: u64,
    /// The server that takes it in, by its name. Records of former releases have none, since
    /// there was only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The process that takes it in, as a mark that only its own machine understands. `None` in
    /// records of former releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

impl Upload {
    /// Whether the server of this name takes it in, or took it in.
    pub fn is_of(&self, node: &str) -> bool {
        self.node.as_deref().is_none_or(|name| name == node)
    }
}

impl AsRef<Image> for Image {
    fn as_ref(&self) -> &Image {
        self
    }
}

impl Image {
    /// A newly registered image without data, every field at its default.
    pub fn queued(id: ImageId, now: Timestamp) -> Self {
        Self {
            id,
            name: None,
            status: Status::Queued,
            size_bytes: 0,
            virtual_size_bytes: None,
            disk_format: None,
            container_format: None,
            checksum: None,
            owner: None,
            is_public: false,
            protected: false,
            min_disk_gb: 0,
            min_ram_mb: 0,
            created_at: now,
            updated_at: now,
            deleted_at: None,
            properties: Properties::new(),
            members: Vec::new(),
            data: None,
            upload: None,
            trashed: None,
            damaged_since: None,
            unknown: BTreeMap::new(),
        }
    }

    /// Whether it is deleted and nothing of it is left but the record, which says so.
    pub fn is_tombstone(&self) -> bool {
        self.status == Status::Deleted && self.data.is_none() && self.upload.is_none()
    }

    /// The size in bytes of the data that clients can download; `None` for an image that is
    /// not active. An active image that is stated to be empty has no data in a store.
    pub fn served_bytes(&self) -> Option<u64> {
        let is_active = self.status == Status::Active;
        is_active.then(|| self.data.as_ref().map_or(0, |data| data.size_bytes))
    }

    /// Whether something in a store waits to be removed: the data of a deleted image, or
    /// what an upload left that will never complete.
    pub fn has_remains(&self) -> bool {
        match self.status {
            Status::Deleted => self.data.is_some() || self.upload.is_some(),
            Status::Queued | Status::Saving => false,
            _ => self.upload.is_some(),
        }
    }
}
