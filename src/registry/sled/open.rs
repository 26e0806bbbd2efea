//! Opening the folder of an embedded registry.

use std::fs::{self, File};
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::codec;
use super::super::index::Snapshot;
use super::options::SledOptions;
use crate::image::ImageId;

/// The tree that holds one record an image, under the image's identifier.
const IMAGES: &str = "images";
/// sled's own log, which holds everything as long as no value is large.
const LOG_FILE: &str = "db";

/// Why an embedded registry cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the registry folder {} cannot be made or read", folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the registry folder {} is in use by another process: stop it, or give this one a data_dir of its own", folder.display())]
    InUse { folder: PathBuf },
    #[error("the registry in {} cannot be opened: {reason}; set the folder aside and restore it from a backup", folder.display())]
    Damaged { folder: PathBuf, reason: String },
    #[error("the registry's commit thread cannot be started")]
    Thread(#[source] io::Error),
}

/// An open registry folder and what was in it.
pub(super) struct Opened {
    pub(super) db: sled::Db,
    pub(super) images: sled::Tree,
    /// For syncing what sled only flushes.
    pub(super) log_file: File,
    pub(super) snapshot: Snapshot,
    /// Identifiers whose records cannot be read.
    pub(super) damaged: Vec<ImageId>,
    pub(super) image_count: usize,
}

pub(super) fn open(options: &SledOptions) -> Result<Opened, OpenError> {
    let folder = &options.folder;
    let in_folder = |cause| OpenError::Folder {
        folder: folder.clone(),
        cause,
    };
    fs::create_dir_all(folder).map_err(in_folder)?;
    let (db, images) = open_sled(options)?;
    let log_file = File::open(folder.join(LOG_FILE)).map_err(in_folder)?;
    sync_folders(folder).map_err(in_folder)?;
    let mut opened = Opened {
        db,
        images,
        log_file,
        snapshot: Snapshot::of([]),
        damaged: Vec::new(),
        image_count: 0,
    };
    opened.read_records(folder)?;
    Ok(opened)
}

/// sled panics on some damaged logs; that is an answer too.
fn open_sled(options: &SledOptions) -> Result<(sled::Db, sled::Tree), OpenError> {
    let damaged = |reason: String| OpenError::Damaged {
        folder: options.folder.clone(),
        reason,
    };
    let config = sled::Config::new()
        .path(&options.folder)
        .cache_capacity(options.cache_bytes)
        .flush_every_ms(Some(500))
        .mode(sled::Mode::HighThroughput);
    let open = move || -> sled::Result<(sled::Db, sled::Tree)> {
        let db = config.open()?;
        let images = db.open_tree(IMAGES)?;
        Ok((db, images))
    };
    // Nothing of a panicked attempt is used afterwards.
    match std::panic::catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(sled::Error::Io(cause))) if cause.kind() == io::ErrorKind::WouldBlock => {
            Err(OpenError::InUse {
                folder: options.folder.clone(),
            })
        }
        // sled wraps the lock's refusal into an error of kind Other.
        Ok(Err(sled::Error::Io(cause))) if cause.to_string().contains("acquire lock") => {
            Err(OpenError::InUse {
                folder: options.folder.clone(),
            })
        }
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("its log is not consistent".to_owned())),
    }
}

/// Makes the folder's own entries durable: its files, and itself in its parent.
fn sync_folders(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

impl Opened {
    fn read_records(&mut self, folder: &Path) -> Result<(), OpenError> {
        let mut records = Vec::new();
        for entry in self.images.iter() {
            let (key, value) = entry.map_err(|error| OpenError::Damaged {
                folder: folder.to_owned(),
                reason: error.to_string(),
            })?;
            self.image_count += 1;
            match codec::decode(&value) {
                Ok(record) => records.push(Arc::new(record)),
                Err(error) => self.set_aside(&key, &error),
            }
        }
        self.snapshot = Snapshot::of(records);
        Ok(())
    }

    /// A damaged record costs that image, not the node.
    fn set_aside(&mut self, key: &[u8], error: &codec::CodecError) {
        let id = std::str::from_utf8(key)
            .ok()
            .and_then(|text| text.parse::<ImageId>().ok());
        let image_id = id.map(|id| id.to_string()).unwrap_or_default();
        tracing::error!(%image_id, %error, "a record of the registry is damaged and its image not served");
        self.damaged.extend(id);
    }
}
