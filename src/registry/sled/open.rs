//! Opening the folder of an embedded registry.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::Record;
use super::super::codec;
use super::super::index::Snapshot;
use super::journal::{Contents, Journal};
use super::options::SledOptions;
use super::rebuild::{self, MOST_AHEAD};
use crate::image::ImageId;

/// The tree that holds one record an image, under the image's identifier.
const IMAGES: &str = "images";
/// sled's own log, which holds everything as long as no value is large.
const LOG_FILE: &str = "db";
/// Locked by the process that uses the folder.
const LOCK_FILE: &str = "lock";

/// Why an embedded registry cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the registry folder {} cannot be made, read or written: {cause}", folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the registry folder {} is in use by another process: stop it, or give this one a data_dir of its own", folder.display())]
    InUse { folder: PathBuf },
    #[error("the registry in {} cannot be opened, and there is no journal to rebuild it from: {reason}; set the folder aside and restore it from a backup", folder.display())]
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
    /// Held as long as the folder is used.
    _lock: File,
}

/// What sled has.
struct Found {
    db: sled::Db,
    images: sled::Tree,
    records: HashMap<ImageId, Arc<Record>>,
    damaged: Vec<ImageId>,
}

pub(super) fn open(options: &SledOptions) -> Result<(Opened, Journal), OpenError> {
    let folder = &options.folder;
    let in_folder = |cause| OpenError::Folder {
        folder: folder.clone(),
        cause,
    };
    fs::create_dir_all(folder).map_err(in_folder)?;
    let lock = lock(folder)?;
    let (mut journal, contents) = Journal::open(folder).map_err(in_folder)?;
    let mut found = read_or_begin_anew(options, &contents)?;
    let restored = found.restore(&journal, &contents);
    restored.map_err(|error| in_folder(io::Error::other(error)))?;
    let log_file = File::open(folder.join(LOG_FILE)).map_err(in_folder)?;
    log_file.sync_all().map_err(in_folder)?;
    let image_count = found.records.len() + found.damaged.len();
    let snapshot = Snapshot::of(found.records.into_values());
    rebuild::complete(&mut journal, &contents, &snapshot).map_err(in_folder)?;
    sync_folders(folder).map_err(in_folder)?;
    let opened = Opened {
        db: found.db,
        images: found.images,
        log_file,
        snapshot,
        damaged: found.damaged,
        image_count,
        _lock: lock,
    };
    Ok((opened, journal))
}

/// sled has a lock of its own, on a file that may have to be set aside.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let in_folder = |cause| OpenError::Folder {
        folder: folder.to_owned(),
        cause,
    };
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let file = options.open(folder.join(LOCK_FILE)).map_err(in_folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(cause)) => Err(in_folder(cause)),
    }
}

/// What sled has; when it can no longer tell, nothing, in files of its own.
fn read_or_begin_anew(options: &SledOptions, contents: &Contents) -> Result<Found, OpenError> {
    let reason = match Found::read(options) {
        Ok(found) => match found.lacks(contents) {
            None => return Ok(found),
            Some(reason) => reason,
        },
        Err(OpenError::Damaged { reason, .. }) if !contents.newest.is_empty() => reason,
        Err(error) => return Err(error),
    };
    let folder = &options.folder;
    let aside = rebuild::set_sled_aside(folder).map_err(|cause| OpenError::Folder {
        folder: folder.clone(),
        cause,
    })?;
    tracing::error!(
        reason,
        set_aside = %aside.display(),
        images = contents.newest.len(),
        "the registry is damaged; it is set aside and rebuilt from its journal"
    );
    Found::read(options)
}

impl Found {
    /// sled panics on some damaged logs, when they are opened or when they are read; that is
    /// an answer too. Nothing of a panicked attempt is used afterwards.
    fn read(options: &SledOptions) -> Result<Self, OpenError> {
        let damaged = |reason: String| OpenError::Damaged {
            folder: options.folder.clone(),
            reason,
        };
        let config = sled::Config::new()
            .path(&options.folder)
            .cache_capacity(options.cache_bytes)
            .flush_every_ms(Some(500))
            .mode(sled::Mode::HighThroughput);
        let read = move || -> sled::Result<Self> {
            let db = config.open()?;
            let images = db.open_tree(IMAGES)?;
            Self::of(db, images)
        };
        match std::panic::catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(sled::Error::Io(cause))) if is_locked(&cause) => Err(OpenError::InUse {
                folder: options.folder.clone(),
            }),
            Ok(Err(error)) => Err(damaged(error.to_string())),
            Err(_) => Err(damaged("its log is not consistent".to_owned())),
        }
    }

    fn of(db: sled::Db, images: sled::Tree) -> sled::Result<Self> {
        let mut found = Self {
            records: HashMap::new(),
            damaged: Vec::new(),
            images,
            db,
        };
        for entry in found.images.iter() {
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

    /// Whether it is without more than the end of a process can explain.
    fn lacks(&self, contents: &Contents) -> Option<String> {
        let missing = rebuild::missing(contents, |id| self.version_of(id)).len();
        (missing > MOST_AHEAD).then(|| format!("it lacks {missing} records that were written"))
    }

    fn version_of(&self, id: &ImageId) -> Option<u64> {
        self.records.get(id).map(|record| record.version)
    }

    /// Takes from the journal what is newer there.
    fn restore(&mut self, journal: &Journal, contents: &Contents) -> sled::Result<()> {
        let missing = rebuild::missing(contents, |id| self.version_of(id));
        if missing.is_empty() {
            return Ok(());
        }
        let (records, unreadable) = rebuild::restore(&self.images, journal, contents, &missing)?;
        tracing::warn!(
            restored = records.len(),
            unreadable,
            "records of the registry were taken from its journal"
        );
        for record in records {
            self.records.insert(record.image.id, record);
        }
        self.damaged.retain(|id| !self.records.contains_key(id));
        Ok(())
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
    tracing::error!(%image_id, %error, "a record of the registry is damaged");
    id
}

/// Makes the folder's own entries durable: its files, and itself in its parent.
fn sync_folders(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests;
