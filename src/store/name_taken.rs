//! Names of image data that are taken already.

use crate::error::{Error, Kind};

/// Refuses an upload whose image's name is taken in the store by data that it did not write:
/// the registry was restored from a copy, or lost. Logs the name, which the client does not
/// learn.
pub(super) fn name_taken(store: &'static str, image: &str, name: &str) -> Error {
    tracing::error!(
        store,
        image_id = image,
        name,
        "the store has data under the image's name that this upload did not write; they are \
         left alone and the upload is refused"
    );
    let message = format!("The store has data of an image {image} already.");
    Error::new(Kind::Conflict, message).because(format!("{name} exists"))
}
