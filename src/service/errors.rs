//! Errors that several verbs return, and the ownership checks that return them.

use crate::error::{Error, Kind, Result};
use crate::image::{
    Caller, Conditions, Image, ImageId, ImageOperation, Refusal, Validators, check_access,
    check_caller,
};

/// Checks an operation that is refused to some callers for every image, such as a change by a
/// read-only caller. The verbs call it before they look up the image.
///
/// # Errors
/// `Forbidden`, or `Unauthenticated` for a caller without a project.
pub(super) fn authorize_any(caller: &Caller, operation: ImageOperation) -> Result<()> {
    check_caller(caller, operation).map_err(|refusal| refused(refusal, ""))
}

/// Checks that the caller's relation to this image allows the operation.
///
/// # Errors
/// `Forbidden`, or `NotFound` if the image must stay hidden from the caller.
pub(super) fn authorize(caller: &Caller, operation: ImageOperation, image: &Image) -> Result<()> {
    check_access(caller, operation, image).map_err(|refusal| refused(refusal, image.id))
}

/// Checks the conditions of a request that changes an image (RFC 9110, 13.1).
///
/// # Errors
/// `PreconditionFailed` if a condition is false.
pub(super) fn check_conditions(image: &Image, conditions: &Conditions) -> Result<()> {
    if conditions.permits_change(Validators::of(image)) {
        return Ok(());
    }
    let message = "The image is not the one that the request's conditions name.";
    Err(Error::new(Kind::PreconditionFailed, message))
}

/// Converts a refusal into an error. A hidden image gets the same text as a missing one.
fn refused(refusal: Refusal, id: impl std::fmt::Display) -> Error {
    match refusal {
        Refusal::Hidden => not_found(id),
        Refusal::Forbidden => forbidden("You do not own this image."),
        Refusal::ReadOnly => forbidden("Read-only access"),
        Refusal::NoTenant => Error::new(Kind::Unauthenticated, "No authenticated user"),
    }
}

/// Returns the error for an image that does not exist or that the caller may not know of.
pub fn not_found(id: impl std::fmt::Display) -> Error {
    let message = format!("Image with identifier {id} not found");
    Error::new(Kind::NotFound, message)
}

pub(super) fn forbidden(message: impl Into<String>) -> Error {
    Error::new(Kind::Forbidden, message)
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message)
}

/// Returns the error for data beyond the largest image size.
pub(super) fn over_cap(cap_bytes: u64) -> Error {
    Error::new(
        Kind::TooLarge,
        format!("Image exceeds the maximum size of {cap_bytes} bytes (image_size_cap)."),
    )
}

/// Returns the error of an upload whose image was deleted before the upload ended.
pub(super) fn deleted_meanwhile(id: &ImageId) -> Error {
    let message = format!("Image {id} was deleted while its data were arriving.");
    Error::new(Kind::DeletedMeanwhile, message)
}
