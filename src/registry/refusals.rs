//! The errors that drivers share: refusals of a write, and a registry that cannot be reached.
//! Clients see these texts, so each is written once.

use std::time::Duration;

use super::codec::{CodecError, MAX_RECORD_BYTES};
use super::documents::DocumentKey;
use super::index::UnknownMarker;
use super::record::Version;
use crate::error::{Error, Kind};
use crate::image::{ImageId, OverLimit};

/// Message of a read that etcd cannot answer now.
#[cfg(feature = "etcd")]
pub(super) const CANNOT_READ: &str = "The registry cannot be asked.";

/// Message of a write that a registry cannot execute now, or whose outcome is unknown.
pub(super) const CANNOT_WRITE: &str = "The registry cannot be written.";

/// Retry delay that clients are given while a remote registry cannot be reached: it is back
/// soon, or another server takes over.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The record of an image has another version than the writer has seen. A writer that has seen
/// version zero wanted to insert the image.
pub(super) fn version_mismatch(id: &ImageId, seen: Version) -> Error {
    match seen {
        0 => already_exists(id),
        _ => changed_meanwhile(id),
    }
}

/// The identifier of a new image is taken.
pub(super) fn already_exists(id: &ImageId) -> Error {
    let message = format!("Image with identifier {id} already exists!");
    Error::new(Kind::Conflict, message)
}

/// Another writer has changed the image since it was read.
pub(super) fn changed_meanwhile(id: &ImageId) -> Error {
    let message = format!("Image {id} was changed by another request.");
    Error::new(Kind::Stale, message)
}

/// The document has another version than the writer has seen; zero is none.
pub(super) fn document_mismatch(key: &DocumentKey, seen: Version) -> Error {
    match seen {
        0 => Error::new(Kind::Conflict, format!("Document {key} already exists.")),
        _ => document_changed(key),
    }
}

/// Another writer has changed or deleted the document since it was read.
pub(super) fn document_changed(key: &DocumentKey) -> Error {
    let message = format!("Document {key} was changed by another request.");
    Error::new(Kind::Stale, message)
}

/// The record of an image cannot be encoded.
pub(super) fn unencodable(error: CodecError) -> Error {
    match error {
        CodecError::TooLarge(_) => Error::new(
            Kind::TooLarge,
            format!("The image's metadata have more than {MAX_RECORD_BYTES} bytes."),
        )
        .because(error),
        CodecError::UnknownFormat { .. }
        | CodecError::Truncated
        | CodecError::ChecksumMismatch
        | CodecError::Malformed(_) => Error::internal(error),
    }
}

/// The write would exceed the limits of the image's owner.
pub(super) fn over_limit(over: &OverLimit) -> Error {
    Error::new(Kind::TooLarge, over.to_string())
}

/// The marker of a list names no image.
pub(super) fn unknown_marker(_: UnknownMarker) -> Error {
    Error::new(Kind::Invalid, "Invalid marker. Image could not be found.")
}

/// The registry cannot store documents.
pub(super) fn no_documents(cause: &'static str) -> Error {
    Error::new(Kind::Conflict, "This registry stores no documents.").because(cause)
}

/// Returns the error for a remote registry that cannot be reached.
pub(super) fn unavailable(
    message: &str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let kind = Kind::Unavailable {
        retry_after: RETRY_AFTER,
    };
    Error::new(kind, message).because(cause)
}
