//! The records in sled.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::Record;
use super::super::codec;
use super::super::index::Snapshot;
use super::open_error::OpenError;
use super::options::EmbeddedOptions;
use super::permissions::tighten;
use crate::image::ImageId;

/// The tree that holds one record an image, under the image's identifier.
const IMAGES: &str = "images";
/// sled's own log, which holds everything as long as no value is large.
pub(super) const LOG_FILE: &str = "db";

/// sled, open.
pub(super) struct SledMirror {
    folder: PathBuf,
    db: sled::Db,
    images: sled::Tree,
    /// For syncing what sled only flushes.
    log_file: File,
}

/// The content of sled.
#[derive(Default)]
pub(super) struct MirrorContents {
    pub(super) records: HashMap<ImageId, Arc<Record>>,
    /// Identifiers whose records cannot be read.
    pub(super) damaged: Vec<ImageId>,
}

impl SledMirror {
    /// Opens sled and reads every record. sled panics on some damaged logs, when they are
    /// opened or when they are read; that is an error too. Nothing of a panicked attempt is
    /// used afterwards.
    ///
    /// # Errors
    /// [`OpenError::InUse`] and [`OpenError::Damaged`].
    pub(super) fn open(options: &EmbeddedOptions) -> Result<(Self, MirrorContents), OpenError> {
        let damaged = |reason: String| OpenError::Damaged {
            folder: options.folder.clone(),
            reason,
        };
        // It is flushed here, not by a thread of its own.
        let config = sled::Config::new()
            .path(&options.folder)
            .cache_capacity(options.cache_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let folder = options.folder.clone();
        let read = move || -> sled::Result<(Self, MirrorContents)> {
            let db = config.open()?;
            let images = db.open_tree(IMAGES)?;
            let log_file = File::open(folder.join(LOG_FILE))?;
            let found = MirrorContents::read(&images)?;
            let mirror = Self {
                folder,
                db,
                images,
                log_file,
            };
            Ok((mirror, found))
        };
        let opened = match std::panic::catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(sled::Error::Io(cause))) if is_locked(&cause) => Err(OpenError::InUse {
                folder: options.folder.clone(),
            }),
            Ok(Err(error)) => Err(damaged(error.to_string())),
            Err(_) => Err(damaged("its log is not consistent".to_owned())),
        };
        tighten(&options.folder);
        opened
    }

    /// Writes the current records of these images, durably; removes those of images that are
    /// not there.
    ///
    /// # Errors
    /// Those of sled and of the file system, as text.
    pub(super) fn write<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a ImageId>,
        records: &Snapshot,
    ) -> Result<(), String> {
        let mut batch = sled::Batch::default();
        for id in ids {
            let key = id.as_str().as_bytes();
            match records.get(id) {
                Some(record) => {
                    let bytes = codec::encode(record).map_err(|error| error.to_string())?;
                    batch.insert(key, bytes);
                }
                None => batch.remove(key),
            }
        }
        let in_sled = |error: sled::Error| format!("sled cannot write: {error}");
        self.images.apply_batch(batch).map_err(in_sled)?;
        self.db.flush().map_err(in_sled)?;
        let synced = self.log_file.sync_all();
        synced.map_err(|error| format!("sled's file cannot be synced: {error}"))?;
        tighten(&self.folder);
        Ok(())
    }
}

impl MirrorContents {
    fn read(images: &sled::Tree) -> sled::Result<Self> {
        let mut found = Self::default();
        for entry in images.iter() {
            let (key, value) = entry?;
            match codec::decode(&value) {
                Ok(record) => {
                    found.records.insert(record.image.id, Arc::new(record));
                }
                Err(error) => found.damaged.extend(name_damaged(&key, &error)),
            }
        }
        Ok(found)
    }

    pub(super) fn version_of(&self, id: &ImageId) -> Option<u64> {
        self.records.get(id).map(|record| record.version)
    }

    /// The images that sled has otherwise than these records, or has beside them.
    pub(super) fn differences(&self, records: &Snapshot) -> Vec<ImageId> {
        let version = |id: &ImageId| records.get(id).map(|record| record.version);
        let ids = records.records().map(|record| record.image.id);
        let own = self.records.keys().copied();
        let own = own.filter(|id| version(id).is_none());
        let differing = ids.filter(|id| version(id) != self.version_of(id));
        differing.chain(own).collect()
    }
}

/// sled wraps the lock's refusal into an error of kind Other.
fn is_locked(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::WouldBlock || cause.to_string().contains("acquire lock")
}

/// A damaged record costs that image, not the node; and not even that where the journal has it.
fn name_damaged(key: &[u8], error: &codec::CodecError) -> Option<ImageId> {
    let id = std::str::from_utf8(key)
        .ok()
        .and_then(|text| text.parse::<ImageId>().ok());
    let image_id = id.map(|id| id.to_string()).unwrap_or_default();
    tracing::error!(%image_id, %error, "a record in sled is damaged");
    id
}
