//! The findings of a check, as text and as JSON.

use serde::Serialize;
use uuid::Uuid;

use crate::image::{Image, ImageId, Status, Timestamp};
use crate::store::{StoredEntry, StoredKey};

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Flaw {
    /// The data of an image are missing in their store.
    Missing,
    /// The data of an image have a different size in the store.
    WrongSize,
    /// The data of an image do not match their checksum.
    Damaged,
    /// The store of an image did not respond or is not configured.
    Unasked,
    /// The record of an image cannot be read.
    Unreadable,
    /// An upload began long ago and has not ended.
    StaleUpload,
    /// Data that should have been removed long ago remain.
    Remains,
    /// A store has data that belong to no image.
    Orphan,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    #[serde(rename = "finding")]
    pub(super) flaw: Flaw,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<ImageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upload: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
    /// Size in the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expected_bytes: Option<u64>,
    /// Size in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) found_bytes: Option<u64>,
    /// The time since which the condition holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The repair that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repair: Option<&'static str>,
}

impl Finding {
    pub(super) fn of_flaw(flaw: Flaw) -> Self {
        Self {
            flaw,
            image: None,
            upload: None,
            store: None,
            status: None,
            expected_bytes: None,
            found_bytes: None,
            since: None,
            reason: None,
            repair: None,
        }
    }

    /// Returns true if the next check will not report it again. An image that was deactivated
    /// because its data are missing is reported until it has data or is deleted.
    pub(super) fn is_repaired(&self) -> bool {
        self.repair.is_some() && !matches!(self.flaw, Flaw::Missing | Flaw::WrongSize)
    }

    pub(super) fn of_image(flaw: Flaw, image: &Image) -> Self {
        Self {
            image: Some(image.id),
            status: Some(image.status),
            ..Self::of_flaw(flaw)
        }
    }

    pub(super) fn orphan(store: &str, stored: &StoredEntry) -> Self {
        let (image, upload) = match stored.key {
            StoredKey::Image(image) => (Some(image), None),
            StoredKey::Upload(upload) => (None, Some(upload)),
        };
        Self {
            image,
            upload,
            store: Some(store.to_owned()),
            found_bytes: Some(stored.size_bytes),
            since: stored.written_at,
            ..Self::of_flaw(Flaw::Orphan)
        }
    }

    /// Returns the key in the store that the finding is about.
    pub(super) fn stored_of(&self) -> Option<StoredKey> {
        let image = self.image.map(StoredKey::Image);
        image.or_else(|| self.upload.map(StoredKey::Upload))
    }

    /// Returns the finding as a line of text.
    pub(super) fn line(&self) -> String {
        let mut line = match (self.image, self.upload) {
            (Some(image), _) => format!("image {image}"),
            (None, Some(upload)) => format!("upload {upload}"),
            (None, None) => String::new(),
        };
        if let Some(status) = self.status {
            line.push_str(&format!(" ({})", status.as_str()));
        }
        line.push_str(": ");
        line.push_str(&self.words());
        if let Some(reason) = &self.reason {
            line.push_str(&format!("; {reason}"));
        }
        if let Some(repair) = self.repair {
            line.push_str(&format!("; {repair}"));
        }
        line
    }

    fn words(&self) -> String {
        let store = self.store.as_deref().unwrap_or_default();
        let bytes = self.found_bytes.unwrap_or_default();
        match self.flaw {
            Flaw::Missing => format!("its data are not in the store {store}"),
            Flaw::WrongSize => format!(
                "its data have {bytes} bytes in the store {store}, and {} in the registry",
                self.expected_bytes.unwrap_or_default()
            ),
            Flaw::Damaged => format!("its data in the store {store} do not match its checksum"),
            Flaw::Unasked => "whether its data are there is not known".to_owned(),
            Flaw::Unreadable => "its record cannot be read".to_owned(),
            Flaw::StaleUpload => format!("an upload to it has not ended since {}", self.time()),
            Flaw::Remains => "what is left of it in a store is still to be removed".to_owned(),
            Flaw::Orphan => format!(
                "the store {store} has {bytes} bytes of it, of {}, which the registry has not",
                self.time()
            ),
        }
    }

    fn time(&self) -> String {
        let unknown = || "a time that is not known".to_owned();
        self.since.map_or_else(unknown, |since| since.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words_and_as_json() {
        let id = "71c675ab-d94f-49cd-a114-e12490b328d9".parse().unwrap();
        let image = Image::queued(id, Timestamp::from_micros(0));
        let mut finding = Finding::of_image(Flaw::WrongSize, &image);
        finding.store = Some("file".to_owned());
        (finding.expected_bytes, finding.found_bytes) = (Some(4), Some(5));
        assert_eq!(
            finding.line(),
            "image 71c675ab-d94f-49cd-a114-e12490b328d9 (queued): its data have 5 bytes in the \
             store file, and 4 in the registry"
        );
        finding.repair = Some("deactivated");
        assert_eq!(
            serde_json::to_value(&finding).unwrap(),
            serde_json::json!({
                "finding": "wrong-size", "image": id.to_string(), "store": "file",
                "status": "queued", "expected_bytes": 4, "found_bytes": 5,
                "repair": "deactivated",
            })
        );
    }
}
