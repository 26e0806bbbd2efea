//! Sources that clients name: where an image's data are, or are to be copied from.

use std::sync::Arc;

use super::apply::over_cap;
use super::upload::{UploadSession, missing_format};
use super::{Service, invalid};
use crate::error::{Error, Kind, Result};
use crate::image::{Fields, HttpUri, Image, ImageData, Location, Status};
use crate::store::{ObjectRange, Store};
use crate::transfer::Payload;

/// What becomes of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceMode {
    /// They stay where they are (`x-image-meta-location`).
    InPlace,
    /// They are copied into a store of ours (`x-glance-api-copy-from`).
    Copied,
}

/// A source that the rules allow. It has not been asked for anything.
pub(super) struct ExternalSource {
    mode: SourceMode,
    location: Location,
    store: Arc<dyn Store>,
}

/// A source that was asked how long it is.
#[derive(Clone)]
pub(super) struct MeasuredSource {
    mode: SourceMode,
    location: Location,
    store: Arc<dyn Store>,
    pub(super) size_bytes: u64,
}

/// A copy that is entered into its image's record and has not begun.
pub(super) struct PendingCopy {
    pub(super) session: UploadSession,
    pub(super) source: MeasuredSource,
}

impl Service {
    /// Judges what a request names as a source.
    ///
    /// # Errors
    /// `Invalid` for what no configured store reads, and for what the operator does not
    /// allow.
    pub(super) fn external_source(&self, fields: &Fields) -> Result<Option<ExternalSource>> {
        let validate = |mode, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| self.validate(mode, text)).transpose()
        };
        let location = validate(SourceMode::InPlace, &fields.location)?;
        let copy_from = validate(SourceMode::Copied, &fields.copy_from)?;
        Ok(location.or(copy_from))
    }

    fn validate(&self, mode: SourceMode, text: &str) -> Result<ExternalSource> {
        if text.is_empty() {
            return Err(invalid("The source of an image cannot be empty."));
        }
        let location = Location::parse(text).ok();
        let read_by =
            location.and_then(|location| Some((self.stores.for_source(&location)?, location)));
        let Some((store, location)) = read_by else {
            return Err(invalid(
                "External source is not supported: clients may name none of its scheme.",
            ));
        };
        let refuse = |why: &dyn std::fmt::Display| {
            invalid(format!(
                "The source of the image is not one that may be named: {why}."
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

    /// Asks a source for its length.
    ///
    /// # Errors
    /// `Invalid` where its address may not be reached; `TooLarge` past the largest image;
    /// `NotFound` for whatever else there is, in the same words: who could tell a closed
    /// port from a missing page could scan networks with this node (CVE-2017-7200).
    pub(super) async fn measure(&self, named: ExternalSource) -> Result<MeasuredSource> {
        let size = named.store.size(&named.location).await;
        let size_bytes = size.map_err(|error| match error.kind() {
            Kind::Invalid => error,
            _ => {
                tracing::warn!(
                    scheme = named.location.scheme(),
                    ?error,
                    "a source that a client names cannot be read"
                );
                Error::new(Kind::NotFound, "The source of the image cannot be read.").because(error)
            }
        })?;
        let cap = self.limits.image_size_cap_bytes;
        if size_bytes > cap {
            return Err(over_cap(cap));
        }
        let ExternalSource {
            mode,
            location,
            store,
        } = named;
        Ok(MeasuredSource {
            mode,
            location,
            store,
            size_bytes,
        })
    }

    /// Gives a queued image its source: the data themselves, or a copy that is to be begun
    /// once the record says so. On an error the image is as it was.
    ///
    /// # Errors
    /// `Invalid` without formats; `Conflict` when the stated size is not the source's.
    pub(super) fn attach(
        &self,
        image: &mut Image,
        source: MeasuredSource,
        store: Arc<dyn Store>,
    ) -> Result<Option<PendingCopy>> {
        if source.mode == SourceMode::Copied {
            let session = UploadSession::reserve(self, store, image, source.size_bytes);
            return Ok(Some(PendingCopy { session, source }));
        }
        if let Some(missing) = missing_format(image) {
            return Err(missing);
        }
        if image.size_bytes != source.size_bytes {
            return Err(Error::new(
                Kind::Conflict,
                format!(
                    "The stated size ({}) is not that of the data at the location ({}).",
                    image.size_bytes, source.size_bytes
                ),
            ));
        }
        image.status = Status::Active;
        // The stated checksum: every download compares the data with it from now on.
        let checksum = image.checksum.clone().filter(|sum| sum.digest().is_some());
        image.data = Some(ImageData::new(source.location, source.size_bytes, checksum));
        Ok(None)
    }
}

impl MeasuredSource {
    /// The size of the source, for an image of which nobody has stated one.
    pub(super) fn state_size(&self, image: &mut Image) {
        if image.size_bytes == 0 {
            image.size_bytes = self.size_bytes;
        }
    }

    /// All bytes of the source.
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

/// An image has one source: its data come with the request, or are somewhere, or are to be
/// copied.
pub(super) fn check_one_source(fields: &Fields, has_data: bool) -> Result<()> {
    let sources = [
        has_data,
        fields.location.is_some(),
        fields.copy_from.is_some(),
    ];
    if sources.iter().filter(|named| **named).count() > 1 {
        return Err(invalid("It's invalid to provide multiple image sources."));
    }
    Ok(())
}
