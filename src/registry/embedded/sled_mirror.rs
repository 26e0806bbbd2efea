//! The second copy of all items, in sled.
//!
//! sled is read once, when the registry is opened, and written behind the journal. A damaged sled
//! is recreated from the journal, and a damaged journal from sled.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::codec::{self, CodecError};
use super::super::documents::{self, Document, DocumentKey};
use super::super::{Record, Version};
use super::key::Key;
use super::open_error::OpenError;
use super::options::EmbeddedOptions;
use super::permissions::tighten;
use super::stored::Stored;
use crate::image::ImageId;

/// The tree with one record per image, under the image's identifier.
const IMAGES: &str = "images";
/// The tree with the documents, under their keys.
const DOCUMENTS: &str = "documents";
/// sled's own log, which holds everything as long as no value is large.
pub(super) const LOG_FILE: &str = "db";

/// An open sled database.
pub(super) struct SledMirror {
    folder: PathBuf,
    db: sled::Db,
    images: sled::Tree,
    documents: sled::Tree,
    /// The log file, to sync it: sled's flush only starts write-back on Linux.
    log_file: File,
}

/// The content of sled when it was opened.
#[derive(Default)]
pub(super) struct MirrorContents {
    pub(super) records: HashMap<ImageId, Arc<Record>>,
    pub(super) documents: HashMap<DocumentKey, Arc<Document>>,
    /// The last version that was assigned to a document.
    pub(super) document_version: Version,
    /// Identifiers of images whose records cannot be read.
    pub(super) damaged: Vec<ImageId>,
}

impl SledMirror {
    /// Opens sled and reads every item.
    ///
    /// sled panics on some damaged logs, while it opens or reads them. Such a panic is returned as
    /// an error, and nothing of the panicked attempt is used afterwards.
    ///
    /// # Errors
    /// [`OpenError::InUse`] and [`OpenError::Damaged`].
    pub(super) fn open(options: &EmbeddedOptions) -> Result<(Self, MirrorContents), OpenError> {
        let damaged = |reason: String| OpenError::Damaged {
            folder: options.folder.clone(),
            reason,
        };
        // The sled writer flushes; sled's own flush thread is turned off.
        let config = sled::Config::new()
            .path(&options.folder)
            .cache_capacity(options.cache_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let folder = options.folder.clone();
        let read = move || -> sled::Result<(Self, MirrorContents)> {
            let db = config.open()?;
            let images = db.open_tree(IMAGES)?;
            let documents = db.open_tree(DOCUMENTS)?;
            let log_file = File::open(folder.join(LOG_FILE))?;
            let mut found = MirrorContents::default();
            found.read_images(&images)?;
            found.read_documents(&documents)?;
            let mirror = Self {
                folder,
                db,
                images,
                documents,
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

    /// Durably writes these items as they are in `stored`; removes those that are not there.
    ///
    /// # Errors
    /// Those of sled and of the file system, as text.
    pub(super) fn write<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Key>,
        stored: &Stored,
    ) -> Result<(), String> {
        let mut images = sled::Batch::default();
        let mut documents = sled::Batch::default();
        let mut has_documents = false;
        for key in keys {
            let batch = match key {
                Key::Image(_) => &mut images,
                Key::Document(_) => {
                    has_documents = true;
                    &mut documents
                }
            };
            let name = key.to_string().into_bytes();
            match stored.get(key) {
                Some(item) => {
                    let bytes = item.encode().map_err(|error| error.to_string())?;
                    batch.insert(name, bytes);
                }
                None => batch.remove(name),
            }
        }
        let in_sled = |error: sled::Error| format!("sled cannot write: {error}");
        self.images.apply_batch(images).map_err(in_sled)?;
        if has_documents {
            let last = stored.documents.last_version().to_le_bytes();
            documents.insert(sequence_name(), last.to_vec());
            self.documents.apply_batch(documents).map_err(in_sled)?;
        }
        // sled's flush starts write-back only. The sync of its file makes the batch durable, which
        // allows the backlog to drop the tombstones of removed items.
        self.db.flush().map_err(in_sled)?;
        let synced = self.log_file.sync_all();
        synced.map_err(|error| format!("sled's file cannot be synced: {error}"))?;
        tighten(&self.folder);
        Ok(())
    }
}

fn sequence_name() -> Vec<u8> {
    DocumentKey::sequence().to_string().into_bytes()
}

impl MirrorContents {
    fn read_images(&mut self, images: &sled::Tree) -> sled::Result<()> {
        for entry in images.iter() {
            let (name, value) = entry?;
            match codec::decode(&value) {
                Ok(record) => {
                    self.records.insert(record.image.id, Arc::new(record));
                }
                Err(error) => self.damaged.extend(report_damaged_image(&name, &error)),
            }
        }
        Ok(())
    }

    fn read_documents(&mut self, documents: &sled::Tree) -> sled::Result<()> {
        for entry in documents.iter() {
            let (name, value) = entry?;
            if *name == sequence_name() {
                let version = <[u8; 8]>::try_from(&*value).map(Version::from_le_bytes);
                self.document_version = version.unwrap_or_default();
                continue;
            }
            match documents::decode(&value) {
                Ok(document) => {
                    let document = Arc::new(document);
                    self.documents.insert(document.key.clone(), document);
                }
                Err(error) => {
                    let document = String::from_utf8_lossy(&name).into_owned();
                    tracing::error!(document, %error, "a document in sled is damaged");
                }
            }
        }
        Ok(())
    }

    pub(super) fn version_of(&self, key: &Key) -> Option<Version> {
        match key {
            Key::Image(id) => self.records.get(id).map(|record| record.version),
            Key::Document(key) => self.documents.get(key).map(|document| document.version),
        }
    }

    /// Returns the items that differ between sled and `stored`.
    pub(super) fn differences(&self, stored: &Stored) -> Vec<Key> {
        let images = self.records.keys().copied().map(Key::Image);
        let documents = self.documents.keys().cloned().map(Key::Document);
        let surplus = images.chain(documents);
        let surplus = surplus.filter(|key| stored.get(key).is_none());
        let items = stored.items().map(|item| (item.key(), item.version()));
        let differing = items.filter(|(key, version)| self.version_of(key) != Some(*version));
        differing.map(|(key, _)| key).chain(surplus).collect()
    }
}

/// sled wraps the refusal of its file lock into an error of kind Other.
fn is_locked(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::WouldBlock || cause.to_string().contains("acquire lock")
}

/// Logs a damaged record and returns its image. Only this image is affected, and not even it if
/// the journal has the record.
fn report_damaged_image(name: &[u8], error: &CodecError) -> Option<ImageId> {
    let id = std::str::from_utf8(name)
        .ok()
        .and_then(|text| text.parse::<ImageId>().ok());
    let image_id = id.map(|id| id.to_string()).unwrap_or_default();
    tracing::error!(%image_id, %error, "a record in sled is damaged");
    id
}
