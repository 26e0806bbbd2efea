//! What a check finds, in words and as JSON.

use serde::Serialize;
use uuid::Uuid;

use crate::image::{Image, ImageId, Status, Timestamp};
use crate::store::{StoredEntry, StoredKey};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Flaw {
    /// An image's data are not in their store.
    Missing,
    /// Something of another size is in their place.
    WrongSize,
    /// They do not match the checksum that they had when they were stored.
    Damaged,
    /// Their store cannot be asked, or does not know.
    Unasked,
    /// An image's record cannot be read.
    Unreadable,
    /// An upload began long ago and has not come to its end.
    StaleUpload,
    /// Something that was to be removed has not been for long.
    Remains,
    /// A store has data that no image has.
    Orphan,
}

/// One thing that is wrong.
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
    /// Bytes that the registry says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expected_bytes: Option<u64>,
    /// Bytes that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) found_bytes: Option<u64>,
    /// Since when it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// What was done about it, and nothing is left to do.
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

    /// Whether the next check does not find it any more. An image that was deactivated because
    /// its data are gone is found again, until it has them or is deleted.
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

    /// What a store has that it tells of.
    pub(super) fn stored_of(&self) -> Option<StoredKey> {
        let image = self.image.map(StoredKey::Image);
        image.or_else(|| self.upload.map(StoredKey::Upload))
    }

    /// A line for the operator.
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
