//! The status of an image and the transitions between statuses.

use serde::{Deserialize, Serialize};

/// The status of an image (Glance v1, "Image Statuses").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Registered without data; an upload may start.
    Queued,
    /// An upload is in progress.
    Saving,
    /// The data are complete and served.
    Active,
    /// An upload failed. The record is kept and accepts no data (v1).
    Killed,
    /// Deleted. The record stays, so that the identifier stays taken.
    Deleted,
    /// Deleted for clients; the scrubber will remove the data.
    PendingDelete,
    /// Deactivated by an administrator: listed but not served.
    Deactivated,
}

impl Status {
    /// Every status, in the order of their names.
    pub const ALL: [Status; 7] = [
        Status::Active,
        Status::Deactivated,
        Status::Deleted,
        Status::Killed,
        Status::PendingDelete,
        Status::Queued,
        Status::Saving,
    ];

    /// Returns the word that clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Saving => "saving",
            Status::Active => "active",
            Status::Killed => "killed",
            Status::Deleted => "deleted",
            Status::PendingDelete => "pending_delete",
            Status::Deactivated => "deactivated",
        }
    }

    /// Returns the status of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Returns true if an image may change from this status to `next`.
    ///
    /// An active image never becomes queued again (CVE-2016-0757), and nothing leaves
    /// `deleted`.
    pub fn may_become(self, next: Status) -> bool {
        use Status::{Active, Deactivated, Deleted, Killed, PendingDelete, Queued, Saving};
        match (self, next) {
            (Deleted, _) => false,
            (_, Deleted) => true,
            // Restored before the scrubber has removed the data.
            (PendingDelete, Active) => true,
            (PendingDelete, _) => false,
            (Queued, Saving | Active | Killed) => true,
            (Saving, Active | Killed) => true,
            (Active, Deactivated) | (Deactivated, Active) => true,
            (_, PendingDelete) => true,
            _ => false,
        }
    }

    /// Returns true if the image is deleted for clients.
    pub fn is_gone(self) -> bool {
        matches!(self, Status::Deleted | Status::PendingDelete)
    }

    /// Returns true if lists without `changes-since` show the image.
    pub fn is_listed(self) -> bool {
        !self.is_gone() && self != Status::Killed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for status in Status::ALL {
            assert_eq!(Status::from_word(status.as_str()), Some(status));
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(json, format!("\"{}\"", status.as_str()));
        }
        assert_eq!(Status::from_word("Active"), None);
    }

    #[test]
    fn forbidden_transitions() {
        assert!(Status::ALL.iter().all(|s| !Status::Deleted.may_become(*s)));
        assert!(!Status::Active.may_become(Status::Queued));
        assert!(!Status::Active.may_become(Status::Saving));
        assert!(!Status::Killed.may_become(Status::Saving));
        assert!(Status::Saving.may_become(Status::Killed));
        assert!(Status::PendingDelete.may_become(Status::Deleted));
        assert!(Status::PendingDelete.may_become(Status::Active));
        assert!(!Status::PendingDelete.may_become(Status::Queued));
    }
}
