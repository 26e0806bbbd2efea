//! The life cycle of an image.

use serde::{Deserialize, Serialize};

/// Where an image is in its life (Glance v1, "Image Statuses").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Registered, without data: an upload may begin.
    Queued,
    /// Data are on their way into a store.
    Saving,
    /// Data are complete and served.
    Active,
    /// An upload failed; the record is kept to tell so and takes no more data.
    Killed,
    /// Gone; the record stays as a tombstone, so that the identifier stays taken.
    Deleted,
    /// Deleted for clients; the data wait for the scrubber.
    PendingDelete,
    /// Set aside by an administrator: known, but not served.
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

    /// The word clients see.
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

    /// The status of a word clients use.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the life cycle has a step from here to `next`.
    ///
    /// An active image never becomes queued again (CVE-2016-0757), and nothing leaves
    /// `deleted`.
    pub fn may_become(self, next: Status) -> bool {
        use Status::{Active, Deactivated, Deleted, Killed, PendingDelete, Queued, Saving};
        match (self, next) {
            (Deleted, _) => false,
            (_, Deleted) => true,
            // Restored before the scrubber came.
            (PendingDelete, Active) => true,
            (PendingDelete, _) => false,
            (Queued, Saving | Active | Killed) => true,
            (Saving, Active | Killed) => true,
            (Active, Deactivated) | (Deactivated, Active) => true,
            (_, PendingDelete) => true,
            _ => false,
        }
    }

    /// Whether clients regard an image in this status as gone.
    pub fn is_gone(self) -> bool {
        matches!(self, Status::Deleted | Status::PendingDelete)
    }

    /// Whether lists show an image in this status without being asked for changes.
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
    fn no_way_back() {
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
