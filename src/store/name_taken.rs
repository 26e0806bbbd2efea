//! The refusal of uploads whose image's name is taken in the store.

use crate::error::{Error, Kind};

/// Creates the error for an upload whose image's name is taken in the store by data that it did not
/// write, and logs the object's name, which the client must not learn. This happens after the
/// registry was lost or restored from an old backup.
pub(super) fn name_taken(store: &'static str, image: &str, name: &str) -> Error {
    tracing::error!(
        store,
        image_id = image,
        name,
        "upload refused: the store has data under the image's name that this upload did not \
         write; they are left alone"
    );
    let message = format!("The store has data of an image {image} already.");
    Error::new(Kind::Conflict, message).because(format!("{name} exists"))
}
