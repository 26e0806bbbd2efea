//! Messages of the registry API, in its two dialects.
//!
//! * `standard` is what Glance's own registry speaks: JSON images as other API servers read
//!   and write them.
//! * `records` is what our servers speak among themselves: records whole, chosen by the media
//!   type [`RECORD`] in `Accept` and `Content-Type`, with the version of a record in
//!   [`VERSION`]. A registry of another make passes the media type over and answers in JSON,
//!   which is how it is told from ours.

mod legacy_client;
mod legacy_server;
mod records;

use http::HeaderName;

pub use legacy_client::{
    ListedImage, read_legacy_ids, read_legacy_image, read_legacy_list, write_legacy_body,
};
pub use legacy_server::{LegacyReader, legacy_listing, parse_legacy_body, write_legacy_image};
pub use records::{
    CensusMessage, ReadList, RecordMessage, parse_owner, parse_query, read_records, write_owner,
    write_query, write_record, write_records,
};

/// The media type of records.
pub const RECORD: &str = "application/vnd.glance.registry-record+json";

/// The version of the record in an answer; in a PUT of a record the one that was seen, which
/// must still be there.
pub const VERSION: HeaderName = HeaderName::from_static("x-glance-registry-version");

/// The property with what a registry of another make has no field for, as JSON.
pub const STATE_PROPERTY: &str = "glance_node_state";

/// Whether a property is one of the service, which clients may not set. Registries may compare
/// names without case.
pub fn is_reserved_property(name: &str) -> bool {
    name.eq_ignore_ascii_case(STATE_PROPERTY)
}

/// Most records of one answer; whoever wants more asks again behind the last one.
pub const MAX_LIST_RECORDS: usize = 1000;

/// About as many bytes as one answer has at most: the last record may go beyond.
pub const TARGET_LIST_BYTES: usize = 4 << 20;
