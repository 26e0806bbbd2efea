//! The keys, and what is under them.
//!
//! * `<prefix>images/<id>` holds a record, in the form that records have in a folder too. No
//!   key is ever removed, so etcd's count of the writes to it is the version of the record.
//! * `<prefix>probe` holds nothing. It is written while etcd refuses writes.
//! * `<prefix>owners/<owner>` holds nothing. Each write that changes what an owner's images take
//!   up writes it too: from its revision one can tell whether one knows of all of them.

use std::sync::Arc;

use etcd_client::KeyValue;

use super::super::codec::{self, CodecError};
use super::super::{Record, Version};
use crate::image::ImageId;

/// The keys below one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) images: String,
    owners: String,
    probe: String,
}

impl Keys {
    pub(super) fn below(prefix: &str) -> Self {
        Self {
            images: format!("{prefix}images/"),
            owners: format!("{prefix}owners/"),
            probe: format!("{prefix}probe"),
        }
    }

    pub(super) fn image(&self, id: &ImageId) -> Vec<u8> {
        format!("{}{id}", self.images).into_bytes()
    }

    /// The key that is written to find out whether etcd accepts writes.
    pub(super) fn probe(&self) -> Vec<u8> {
        self.probe.clone().into_bytes()
    }

    /// Images without an owner count together; an owner's name begins with a letter of ours.
    pub(super) fn owner(&self, owner: Option<&str>) -> Vec<u8> {
        let owners = &self.owners;
        match owner {
            Some(owner) => format!("{owners}o{owner}").into_bytes(),
            None => format!("{owners}nobody").into_bytes(),
        }
    }

    /// The record of the image that the key names.
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

    /// The identifier in the key of an image.
    pub(super) fn id_in(&self, key: &[u8]) -> Option<ImageId> {
        let name = key.strip_prefix(self.images.as_bytes())?;
        std::str::from_utf8(name).ok()?.parse().ok()
    }
}

/// The record under a key.
pub(super) fn record_of(kv: &KeyValue) -> Result<Record, CodecError> {
    let record = codec::decode(kv.value())?;
    Ok(Record::new(record.image, version_of(kv)))
}

/// A record that this release cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnreadableRecord {
    /// `None` for a key that names no image.
    pub(super) id: Option<ImageId>,
    pub(super) key: String,
    pub(super) version: Version,
    /// Why it cannot be read.
    pub(super) reason: String,
}

/// The version of the record under a key, from 1.
pub(super) fn version_of(kv: &KeyValue) -> Version {
    u64::try_from(kv.version()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_what_is_under_them() {
        let keys = Keys::below("/glance/");
        let id = ImageId::random();
        assert_eq!(keys.id_in(&keys.image(&id)), Some(id));
        assert_eq!(keys.id_in(&keys.owner(Some("a"))), None);
        assert_eq!(keys.id_in(b"/glance/images/x"), None);
        assert_ne!(keys.owner(Some("nobody")), keys.owner(None));
        assert_ne!(keys.owner(Some("")), keys.owner(None));
    }
}
