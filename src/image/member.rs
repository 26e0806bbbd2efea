//! Members: the projects that an image is shared with.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A project that an image is shared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The project, as opaque text.
    #[serde(rename = "member_id")]
    pub id: String,
    /// True if this project may share the image further (v1).
    pub can_share: bool,
    /// The project's answer to the offer (v2). v1 neither shows it nor asks for it.
    #[serde(default, skip_serializing_if = "MemberStatus::is_pending")]
    pub status: MemberStatus,
    /// When the member was added; `None` for members that the first release stored, which kept
    /// no times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When the member last changed; `None` if it has not changed since it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// A member's answer to the offer of an image. In v2, default lists show a shared image only to
/// members that have accepted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// No answer yet. Glance gives this status to members that v1 adds, too.
    #[default]
    Pending,
    /// Accepted.
    Accepted,
    /// Rejected: the image stays usable by its identifier.
    Rejected,
}

impl Member {
    /// Returns a new member that has not answered yet.
    pub fn new(id: impl Into<String>, can_share: bool, now: Timestamp) -> Self {
        Self {
            id: id.into(),
            can_share,
            status: MemberStatus::Pending,
            created_at: Some(now),
            updated_at: None,
        }
    }

    /// Sets whether this project may share the image further.
    pub fn set_can_share(&mut self, can_share: bool, now: Timestamp) {
        if self.can_share != can_share {
            (self.can_share, self.updated_at) = (can_share, Some(now));
        }
    }
}

impl MemberStatus {
    /// Returns the word that v2 clients use.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberStatus::Pending => "pending",
            MemberStatus::Accepted => "accepted",
            MemberStatus::Rejected => "rejected",
        }
    }

    /// Returns true for [`MemberStatus::Pending`], which records leave out.
    pub(super) fn is_pending(&self) -> bool {
        *self == MemberStatus::Pending
    }
}
