//! Sharing an image with a tenant.

use serde::{Deserialize, Serialize};

/// A tenant that an image is shared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The tenant, as opaque text.
    #[serde(rename = "member_id")]
    pub id: String,
    /// Whether this tenant may share the image further.
    pub can_share: bool,
}
