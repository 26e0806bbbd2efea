//! Messages of the registry API, in its two protocols.
//!
//! * `legacy_server` and `legacy_client`: the protocol of Glance's own registry, JSON images as
//!   API servers of Glance read and write them.
//! * `records`: the protocol between servers of this software: whole records, selected by the media
//!   type [`RECORD`] in `Accept` and `Content-Type`, with the version of a record in [`VERSION`].
//!   Glance's registry ignores the media type and responds in JSON, by which API servers recognize
//!   it.

mod documents;
mod legacy_client;
mod legacy_server;
mod records;

use http::HeaderName;

pub use documents::{DocumentList, document_path, parse_document_query, write_document_query};
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

/// The version of a record in a response; in a PUT, the version that the writer has read, which
/// must still be current.
pub const VERSION: HeaderName = HeaderName::from_static("x-glance-registry-version");

/// The reserved property for values that the legacy protocol has no fields for, as JSON.
pub const STATE_PROPERTY: &str = "glance_node_state";

/// Returns true if a property is reserved for the service. Registries may compare names without
/// case.
pub fn is_reserved_property(name: &str) -> bool {
    name.eq_ignore_ascii_case(STATE_PROPERTY)
}

/// Most records in one response. Clients request the next ones after the last.
pub const MAX_LIST_RECORDS: usize = 1000;

/// Target size of one response in bytes; the last record may exceed it.
pub const TARGET_LIST_BYTES: usize = 4 << 20;
