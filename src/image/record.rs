//! The image: every field that a registry stores of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Checksum, ImageData, ImageId, Member, Status, Timestamp, Visibility};

/// Free-form properties; a property without a value is `None`.
pub type Properties = BTreeMap<String, Option<String>>;

/// An image as registries store it.
///
/// The module `stored` defines its JSON form in records, dumps and messages between servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The identifier, which stays taken after the deletion.
    pub id: ImageId,
    /// The name: not unique, at most 255 characters.
    pub name: Option<String>,
    /// The status.
    pub status: Status,
    /// The size in bytes that clients see: stated until the data are complete, then measured.
    pub size_bytes: u64,
    /// The size in bytes of the disk that the image unpacks to.
    pub virtual_size_bytes: Option<u64>,
    /// The format of the disk.
    pub disk_format: Option<String>,
    /// The format of the container around the disk.
    pub container_format: Option<String>,
    /// The MD5 that clients see: stated until the data are complete, then computed.
    pub checksum: Option<Checksum>,
    /// The tenant that owns the image; `None` without an identity service.
    pub owner: Option<String>,
    /// The callers beside the owner that may use it.
    pub visibility: Visibility,
    /// True if the image is protected from deletion.
    pub protected: bool,
    /// Smallest disk to boot from, GB.
    pub min_disk_gb: u32,
    /// Smallest memory to boot with, MB.
    pub min_ram_mb: u32,
    /// When the image was registered.
    pub created_at: Timestamp,
    /// When the image last changed. A change of members does not count.
    pub updated_at: Timestamp,
    /// When the image was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Free-form properties.
    pub properties: Properties,
    /// The projects that the image is shared with; see [`Image::effective_members`].
    pub members: Vec<Member>,
    /// The complete data. They remain during a deletion until the store has removed them.
    pub data: Option<ImageData>,
    /// The upload in progress, a queued copy, or a failed upload whose remains are not removed yet.
    pub upload: Option<Upload>,
    /// Fields that a delayed deletion removed and a restoration gives back.
    pub trashed: Option<Box<Trashed>>,
    /// When the data in the store were found not to match their MD5. They are not served until an
    /// audit finds them intact, which sets `None`.
    pub damaged_since: Option<Timestamp>,
    /// Words that v2 clients attach to the image.
    pub tags: BTreeSet<String>,
    /// True if v2 lists leave the image out unless a client asks for hidden ones.
    pub os_hidden: bool,
    /// A digest of the data stronger than MD5, if one was computed.
    pub secure_hash: Option<SecureHash>,
    /// Fields of a newer release, kept unchanged: while the servers of a cluster are upgraded one
    /// after the other, a change by an older server must not drop them.
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// Fields of an image whose deletion is delayed; a restoration gives them back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trashed {
    /// The properties.
    pub properties: Properties,
    /// The members.
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

/// An upload: where it writes, and which server runs it. It is recorded before the first byte is
/// written, so that after a crash every byte in a store belongs to a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The identifier of this upload.
    pub id: Uuid,
    /// The scheme of the store.
    pub store: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Bytes that it may have written so far, which count for quotas. An upload of unknown length
    /// raises its reservation as it grows.
    #[serde(default)]
    pub reserved_bytes: u64,
    /// The name of the server that runs it. `None` in records of releases without clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The process that runs it, as a mark that only its own machine can interpret. `None` in
    /// records of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The effect of a failure on the image.
    #[serde(default, skip_serializing_if = "OnFailure::is_kill")]
    pub on_failure: OnFailure,
}

/// The effect of a failed upload on its image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The image becomes `killed` for good, as in the v1 API.
    #[default]
    Kill,
    /// The image becomes `queued` once the bytes of the upload are removed, and can get new data.
    Requeue,
}

impl OnFailure {
    /// Returns true for the default. Records do not state it, so that earlier releases read them.
    fn is_kill(&self) -> bool {
        matches!(self, Self::Kill)
    }
}

impl Upload {
    /// Returns true if the server of this name runs it or ran it.
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
    /// Returns a new image without data, with every other field at its default.
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

    /// Returns true if the image is deleted and only its record remains.
    pub fn is_tombstone(&self) -> bool {
        self.status == Status::Deleted && self.data.is_none() && self.upload.is_none()
    }

    /// Returns the size in bytes of the data that clients can download; `None` for an image that is
    /// not active. An active image of size 0 has no data in a store.
    pub fn served_bytes(&self) -> Option<u64> {
        let is_active = self.status == Status::Active;
        is_active.then(|| self.data.as_ref().map_or(0, |data| data.size_bytes))
    }

    /// Returns true if bytes in a store wait to be removed: the data of a deleted image, or the
    /// remains of an upload that cannot complete.
    pub fn has_remains(&self) -> bool {
        match self.status {
            // Data of a pending deletion are not remains: they may be restored.
            Status::Deleted => self.data.is_some() || self.upload.is_some(),
            Status::Queued | Status::Saving => false,
            _ => self.upload.is_some(),
        }
    }
}
