//! The domain types of the Image service: images, members, locations, queries, access rules. They
//! do no I/O, read no clock and are not async; every other module uses them.
//!
//! A value that exists is valid: identifiers, formats and timestamps are parsed once, where a
//! request or a record is read, and never checked again.

mod access;
mod caller;
mod checksum;
mod conditions;
mod data;
mod fields;
mod format;
mod http_uri;
mod id;
mod location;
mod member;
mod query;
mod record;
mod source_rules;
mod status;
mod stored;
mod timestamp;
mod usage;
mod visibility;

pub use access::{
    ImageOperation, Refusal, can_see, can_see_member, check_access, check_caller, list_scope,
    visible_members,
};
pub use caller::Caller;
pub use checksum::{Checksum, InvalidChecksum, Md5Digest};
pub use conditions::{ConditionResult, Conditions, EntityTag, EntityTags, Validators};
pub use data::{DataLocation, ImageData, LocationStatus};
pub use fields::{Change, Fields};
pub use format::{FormatError, FormatRules};
pub use http_uri::{HttpUri, HttpUriError};
pub use id::{ImageId, InvalidImageId};
pub use location::{Location, LocationError};
pub use member::{Member, MemberStatus};
pub use query::{Filter, ListScope, Query, SortDirection, SortKey, SortValue};
pub use record::{Image, OnFailure, Properties, SecureHash, Trashed, Upload};
pub use source_rules::{AllowDenyList, SourceRefusal, SourceRules};
pub use status::Status;
pub use timestamp::Timestamp;
pub use usage::{OverLimit, OwnerLimits, Usage};
pub use visibility::Visibility;
