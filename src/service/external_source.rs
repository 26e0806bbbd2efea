//! External sources: URLs that a client names as the location of an image's data
//! (`x-image-meta-location`) or as the source of a copy (`x-glance-api-copy-from`).
//!
//! A source passes two steps: `named` validates the URL against the operator's rules without any
//! request to it, and `measure` asks the source for its size.

use std::fmt::Display;
use std::sync::Arc;

use super::Limits;
use super::errors::{invalid, over_cap};
use crate::error::{Error, Kind, Result};
use crate::image::{Fields, HttpUri, Image, Location};
use crate::store::{ObjectRange, Store, Stores};
use crate::transfer::Payload;

/// The use that a request makes of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceMode {
    /// The data stay at the source, which becomes the image's location.
    InPlace,
    /// The data are copied into one of our stores.
    Copy,
}

/// A source that the operator's rules allow.
pub(super) struct ExternalSource {
    mode: SourceMode,
    location: Location,
    store: Arc<dyn Store>,
}

/// A source of known size.
#[derive(Clone)]
pub(super) struct MeasuredSource {
    pub(super) mode: SourceMode,
    pub(super) location: Location,
    store: Arc<dyn Store>,
    pub(super) size_bytes: u64,
}

/// Validates and measures external sources.
pub(super) struct ExternalSources {
    stores: Stores,
    limits: Arc<Limits>,
}

impl ExternalSources {
    pub(super) fn new(stores: Stores, limits: Arc<Limits>) -> Self {
        Self { stores, limits }
    }

    /// Returns the source that a request names, if it names one.
    ///
    /// # Errors
    /// `Invalid` if no configured store reads it, or if the operator's rules do not allow it.
    pub(super) fn named(&self, fields: &Fields) -> Result<Option<ExternalSource>> {
        let validate = |mode, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| self.validate(mode, text)).transpose()
        };
        // Both are validated, also if the request names both: Glance reports an invalid source
        // before it reports that there is more than one.
        let location = validate(SourceMode::InPlace, &fields.location)?;
        let copy_from = validate(SourceMode::Copy, &fields.copy_from)?;
        Ok(location.or(copy_from))
    }

    fn validate(&self, mode: SourceMode, text: &str) -> Result<ExternalSource> {
        if text.is_empty() {
            return Err(invalid("The source of an image cannot be empty."));
        }
        let location = Location::parse(text).ok();
        let readable =
            location.and_then(|location| Some((self.stores.for_source(&location)?, location)));
        let Some((store, location)) = readable else {
            return Err(invalid(
                "External source is not supported: clients may name none of its scheme.",
            ));
        };
        let refuse = |reason: &dyn Display| {
            invalid(format!(
                "The source of the image is not one that may be named: {reason}."
            ))
        };
        let uri = HttpUri::parse(text).map_err(|error| refuse(&error))?;
        let allowed = self.limits.source_rules.check(&uri);
        allowed.map_err(|refusal| refuse(&refusal))?;
        Ok(ExternalSource {
            mode,
            location,
            store,
        })
    }

    /// Asks a source for its size.
    ///
    /// # Errors
    /// `Invalid` if its address may not be reached; `TooLarge` past the largest image size;
    /// `NotFound` for every other failure, with one text. If a closed port and a missing page had
    /// different texts, clients could scan networks with this node (CVE-2017-7200).
    pub(super) async fn measure(&self, source: ExternalSource) -> Result<MeasuredSource> {
        let size = source.store.size(&source.location).await;
        let size_bytes = size.map_err(|error| match error.kind() {
            Kind::Invalid => error,
            _ => {
                tracing::warn!(
                    scheme = source.location.scheme(),
                    ?error,
                    "external source of an image cannot be read"
                );
                Error::new(Kind::NotFound, "The source of the image cannot be read.").because(error)
            }
        })?;
        let cap_bytes = self.limits.image_size_cap_bytes;
        if size_bytes > cap_bytes {
            return Err(over_cap(cap_bytes));
        }
        Ok(MeasuredSource {
            mode: source.mode,
            location: source.location,
            store: source.store,
            size_bytes,
        })
    }
}

impl MeasuredSource {
    /// Sets the image's size to that of the source if the client has not stated one.
    pub(super) fn state_size(&self, image: &mut Image) {
        if image.size_bytes == 0 {
            image.size_bytes = self.size_bytes;
        }
    }

    /// Opens the source for all its bytes.
    pub(super) async fn open(&self) -> Result<Payload> {
        if self.size_bytes == 0 {
            return Ok(Payload::Empty);
        }
        let whole = ObjectRange {
            offset: 0,
            len: self.size_bytes,
            object_bytes: self.size_bytes,
        };
        self.store.open(&self.location, whole).await
    }
}
