//! Messages of the v1 API and of the registry API: headers and JSON bodies. Each file holds both
//! the server's and the client's side of a message, so that they cannot disagree.

mod cached;
mod conditions;
mod content_md5;
mod escapes;
mod head_lines;
mod json;
mod members;
mod meta_fields;
mod meta_headers;
pub mod registry;

pub use cached::{CachedImage, CachedImages, NumDeleted, QueuedImages};
pub use conditions::{Selection, read_conditions, select};
pub use content_md5::{CONTENT_MD5, read_content_md5, write_content_md5};
pub use escapes::decode_escapes;
pub use head_lines::{DataHeaders, Representation, add_no_data, head_lines, representation};
pub use json::{ImageMeta, Listing, listing, write_detail, write_image};
pub use members::{
    MemberEntry, MemberListing, SharedImage, SharedImageListing, check_member_id, parse_member,
    parse_memberships, write_member, write_members, write_memberships, write_shared_images,
};
pub use meta_fields::{MetaReader, is_true_word, write_fields};
pub use meta_headers::{Spelling, has_property_header, read_meta, write_meta};
