//! The keys in etcd and their values.
//!
//! * `<prefix>images/<id>` holds a record in the form that records have on disk. These keys are
//!   never deleted, so etcd's count of the writes to a key is the version of the record.
//! * `<prefix>owners/<owner>` has an empty value. Every write that changes the usage of an owner's
//!   images also writes this key, so its revision shows whether a server knows all of them.
//! * `<prefix>documents/<kind>/<id>` holds a document. The revision of the last write is its
//!   version. The key is deleted with the document.
//! * `<prefix>probe` has an empty value. It is written while etcd refuses writes, to detect when it
//!   accepts them again.

use std::sync::Arc;

use etcd_client::KeyValue;

use super::super::codec::{self, CodecError};
use super::super::documents::DocumentKey;
use super::super::{Record, Version};
use crate::image::ImageId;

/// The keys below one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) images: String,
    pub(super) documents: String,
    owners: String,
    probe: String,
}

impl Keys {
    pub(super) fn below(prefix: &str) -> Self {
        Self {
            images: format!("{prefix}images/"),
            documents: format!("{prefix}documents/"),
            owners: format!("{prefix}owners/"),
            probe: format!("{prefix}probe"),
        }
    }

    pub(super) fn image(&self, id: &ImageId) -> Vec<u8> {
        format!("{}{id}", self.images).into_bytes()
    }

    pub(super) fn document(&self, key: &DocumentKey) -> Vec<u8> {
        format!("{}{key}", self.documents).into_bytes()
    }

    /// Returns the document that a key names.
    pub(super) fn document_key(&self, key: &[u8]) -> Option<DocumentKey> {
        let name = key.strip_prefix(self.documents.as_bytes())?;
        DocumentKey::parse(std::str::from_utf8(name).ok()?)
    }

    /// Returns the key that is written to check whether etcd accepts writes.
    pub(super) fn probe(&self) -> Vec<u8> {
        self.probe.clone().into_bytes()
    }

    /// Returns the key of an owner. Images without an owner share one key; the prefix `o` keeps the
    /// names of owners apart from it.
    pub(super) fn owner(&self, owner: Option<&str>) -> Vec<u8> {
        let owners = &self.owners;
        match owner {
            Some(owner) => format!("{owners}o{owner}").into_bytes(),
            None => format!("{owners}nobody").into_bytes(),
        }
    }

    /// Decodes the record under the key of an image.
    pub(super) fn read(&self, kv: &KeyValue) -> Result<Arc<Record>, UnreadableRecord> {
        let id = self.id_in(kv.key());
        let reason = match record_of(kv) {
            Ok(record) if Some(record.image.id) == id => return Ok(Arc::new(record)),
            Ok(_) => "it is the record of another image".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(UnreadableRecord {
            id,
            key: String::from_utf8_lossy(kv.key()).into_owned(),
            version: version_of(kv),
            reason,
        })
    }

    /// Returns the image that a key names.
    pub(super) fn id_in(&self, key: &[u8]) -> Option<ImageId> {
        let name = key.strip_prefix(self.images.as_bytes())?;
        std::str::from_utf8(name).ok()?.parse().ok()
    }
}

/// Decodes the record under a key.
pub(super) fn record_of(kv: &KeyValue) -> Result<Record, CodecError> {
    let record = codec::decode(kv.value())?;
    Ok(Record::new(record.image, version_of(kv)))
}

/// A record that this release cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnreadableRecord {
    /// `None` if the key names no image.
    pub(super) id: Option<ImageId>,
    pub(super) key: String,
    pub(super) version: Version,
    /// The reason why it cannot be read.
    pub(super) reason: String,
}

/// Returns the version of the record under a key, from 1.
pub(super) fn version_of(kv: &KeyValue) -> Version {
    u64::try_from(kv.version()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_parsed_back() {
        let keys = Keys::below("/glance/");
        let id = ImageId::random();
        assert_eq!(keys.id_in(&keys.image(&id)), Some(id));
        assert_eq!(keys.id_in(&keys.owner(Some("a"))), None);
        assert_eq!(keys.id_in(b"/glance/images/x"), None);
        let document = DocumentKey::new("task", "a/b").unwrap();
        let name = keys.document(&document);
        assert_eq!(name, b"/glance/documents/task/a/b");
        assert_eq!(keys.document_key(&name), Some(document));
        assert_eq!(keys.document_key(&keys.image(&id)), None);
        assert_ne!(keys.owner(Some("nobody")), keys.owner(None));
        assert_ne!(keys.owner(Some("")), keys.owner(None));
    }
}
