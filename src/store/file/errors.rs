//! Converts I/O errors of the file store for clients.

use std::io;
use std::time::Duration;

use super::folder::is_full;
use crate::error::{Error, Kind};

/// `Retry-After` for clients: an operator has to repair the disk or the permissions first.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Converts the error of a read.
pub(super) fn open_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Error::new(Kind::NotFound, "The image's data are not in the store.").because(error)
        }
        _ => Error::of_io(error),
    }
}

/// Converts the error of a write.
pub(super) fn write_error(error: io::Error) -> Error {
    match is_full(&error) {
        true => Error::new(
            Kind::TooLarge,
            "There is not enough disk space on the image storage media.",
        ),
        false => Error::new(
            Kind::Unavailable {
                retry_after: RETRY_AFTER,
            },
            "The image storage media cannot be written.",
        ),
    }
    .because(error)
}
