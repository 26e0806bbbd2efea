//! Images of other servers kept near: fetched once, however many ask at a time, served while
//! they come, verified before anybody has all of them, and never more than fits.
//!
//! The one who asks first starts a fill ([`Filler`]), which writes a file; all others, and
//! the first too, are sent parts of that file as it grows ([`crate::transfer::PartialFile`]).
//! What is complete and has the right MD5 gets a name that says what it is; a start believes
//! names that fit their files and reads none of them.
//!
//! Who may have an image is not decided here: the service asks for it only after it has
//! looked at the caller, the policy and the image's status.

mod audit;
mod books;
mod fill;
mod filler;
mod flight;
mod folder;
mod lookup;
mod name;
mod origin;
mod plan;
mod queue;
mod room;
mod shelf;
mod staged;
mod tools;
mod usage;

use std::io;
use std::path::PathBuf;

pub use audit::Kept;
pub use books::{Cache, CacheOptions, CachedImage};
pub use filler::Filler;
pub use flight::{Fetched, FillProgress, Source};
pub use queue::{Queue, Turn};
pub use shelf::Counted;
pub use tools::FillerOptions;

/// The cache's folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("image_cache_dir = {}: the folder cannot be used: {cause}", folder.display())]
pub struct CacheError {
    /// `image_cache_dir`.
    pub folder: PathBuf,
    /// What the system says.
    pub cause: io::Error,
}
