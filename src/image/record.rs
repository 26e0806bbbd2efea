//! The image itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Checksum, ImageData, ImageId, Member, Status, Timestamp, Visibility};

/// Free-form properties; a property set to nothing is kept as `None`.
pub type Properties = BTreeMap<String, Option<String>>;

/// All that the registry knows of an image.
///
/// Its JSON form, which records, dumps and messages between servers have, is in `stored`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The identifier, taken for ever.
    pub id: ImageId,
    /// Not unique, at most 255 characters.
    pub name: Option<String>,
    /// Where the image is in its life.
    pub status: Status,
    /// The size in bytes that clients see: stated until the data are in, then measured.
    pub size_bytes: u64,
    /// The size in bytes of the disk the image unpacks to.
    pub virtual_size_bytes: Option<u64>,
    /// How the disk is encoded.
    pub disk_format: Option<String>,
    /// What the disk is wrapped in.
    pub container_format: Option<String>,
    /// The MD5 clients see: stated until the data are in, then computed.
    pub checksum: Option<Checksum>,
    /// The tenant that owns the image; nobody where there is no identity service.
    pub owner: Option<String>,
    /// The callers beside the owner that may use it.
    pub visibility: Visibility,
    /// Whether it is safe from deletion.
    pub protected: bool,
    /// Smallest disk to boot from, GB.
    pub min_disk_gb: u32,
    /// Smallest memory to boot with, MB.
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
    pub members: Vec<Member>,
    /// The data, once they are complete; still there while a deletion is being carried out.
    pub data: Option<ImageData>,
    /// The upload under way, a copy that waits for its turn, or an upload whose remains are
    /// still to be removed.
    pub upload: Option<Upload>,
    /// What a delayed deletion took from clients and a restoration gives back.
    pub trashed: Option<Box<Trashed>>,
    /// Since when the data in the store are known not to match their MD5: then they are not
    /// served. `None` once they match again.
    pub damaged_since: Option<Timestamp>,
    /// Words that v2 clients attach to the image.
    pub tags: BTreeSet<String>,
    /// True if v2 lists leave the image out unless a client asks for hidden ones.
    pub os_hidden: bool,
    /// A digest of the data stronger than MD5, if one was computed.
    pub secure_hash: Option<SecureHash>,
    /// Fields of a newer release, which this one keeps as they are: in a cluster whose servers
    /// are upgraded one after the other, a change made here must not drop them.
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

/// A digest of the data by an algorithm that the operator chooses (v2's `os_hash_algo` and
/// `os_hash_value`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureHash {
    /// The algorithm by its name in Python's `hashlib`, such as `sha512`.
    pub algorithm: String,
    /// The digest in lower-case hexadecimal.
    pub value: String,
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
            visibility: Visibility::default(),
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
            tags: BTreeSet::new(),
            os_hidden: false,
            secure_hash: None,
            unknown: BTreeMap::new(),
        }
    }

    /// Returns the members for which the image is shared. Of a private or community image the
    /// members are kept and have no effect, as in Glance, so that a change of visibility and
    /// back loses none.
    pub fn effective_members(&self) -> &[Member] {
        match self.visibility {
            Visibility::Public | Visibility::Shared => &self.members,
            Visibility::Private | Visibility::Community => &[],
        }
    }

    /// Returns true if the image is shared with this project.
    pub fn is_member(&self, project: &str) -> bool {
        let mut members = self.effective_members().iter();
        members.any(|member| member.id == project)
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
