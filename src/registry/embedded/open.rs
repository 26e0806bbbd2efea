//! Opens the folder of an embedded registry.
//!
//! The journal and sled are compared, and the newer state of each item wins. The journal alone is
//! sufficient: if sled cannot be opened or has no disk space, the registry starts without it, and
//! the sled writer opens it later.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::super::Record;
use super::super::documents::{Document, DocumentKey, DocumentMap};
use super::super::index::Snapshot;
use super::journal::{Contents, FrameLocation, Journal, Purged};
use super::key::Key;
use super::open_error::OpenError;
use super::options::EmbeddedOptions;
use super::permissions::{FILE_MODE, create_private_folder, tighten};
use super::reconcile::{self, MAX_LAG};
use super::sled_mirror::{MirrorContents, SledMirror};
use super::sled_writer::has_space_for_sled;
use super::stored::Stored;
use crate::image::ImageId;

/// Locked by the process that uses the folder.
const LOCK_FILE: &str = "lock";

/// An open registry folder and its content.
pub(super) struct Opened {
    pub(super) journal: Journal,
    /// `None` if the registry starts without sled.
    pub(super) mirror: Option<SledMirror>,
    pub(super) stored: Stored,
    /// Identifiers of images whose records cannot be read.
    pub(super) damaged: Vec<ImageId>,
    pub(super) image_count: usize,
    /// Items that differ between sled and `stored`.
    pub(super) backlog: HashSet<Key>,
    /// Items that were removed and that sled may still have.
    pub(super) purged: Purged,
    /// Held as long as the folder is used.
    pub(super) lock: File,
}

/// The items read so far, before they are indexed.
struct Items {
    records: HashMap<ImageId, Arc<Record>>,
    documents: HashMap<DocumentKey, Arc<Document>>,
}

pub(super) fn open(options: &EmbeddedOptions) -> Result<Opened, OpenError> {
    let folder = &options.folder;
    let in_folder = |cause| OpenError::Folder {
        folder: folder.clone(),
        cause,
    };
    create_private_folder(folder).map_err(in_folder)?;
    // Before anything is read or repaired: another process may be writing to the folder.
    let lock = lock(folder)?;
    tighten(folder);
    let (mut journal, contents) =
        Journal::open(folder, options.reserve_bytes).map_err(in_folder)?;
    let (mirror, found) = open_sled(options, &contents)?.unzip();
    let found = found.unwrap_or_default();
    let missing = reconcile::missing(&contents, |key| found.version_of(key));
    let mut items = Items {
        records: found.records,
        documents: found.documents,
    };
    let unreadable = items.read_missing(&journal, &contents, &missing);
    let mut damaged = found.damaged;
    damaged.retain(|id| !items.records.contains_key(id) && !contents.purges(&Key::Image(*id)));
    damaged.extend(unreadable);
    let image_count = items.records.len() + damaged.len();
    let stored = items.into_stored(contents.document_version.max(found.document_version));
    let (mirror, backlog) = update_mirror(mirror, missing, &stored);
    let purged = backlog.iter().filter_map(|key| contents.purged(key));
    let purged: Purged = purged.collect();
    match reconcile::complete(&mut journal, &contents, &stored, &purged) {
        Err(error) if super::journal::is_no_space(&error) => tracing::error!(
            %error,
            "the registry's journal cannot be completed from sled; the next start tries again"
        ),
        result => result.map_err(in_folder)?,
    }
    sync_folders(folder).map_err(in_folder)?;
    Ok(Opened {
        journal,
        mirror,
        stored,
        damaged,
        image_count,
        backlog,
        purged,
        lock,
    })
}

/// Locks the folder by a file of its own: sled's lock is on a file that may be moved aside.
fn lock(folder: &Path) -> Result<File, OpenError> {
    let in_folder = |cause| OpenError::Folder {
        folder: folder.to_owned(),
        cause,
    };
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let file = options.mode(FILE_MODE).open(folder.join(LOCK_FILE));
    let file = file.map_err(in_folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(cause)) => Err(in_folder(cause)),
    }
}

/// Opens sled. Returns `None` if it cannot be used and the journal is complete; without a complete
/// journal, sled is required.
fn open_sled(
    options: &EmbeddedOptions,
    contents: &Contents,
) -> Result<Option<(SledMirror, MirrorContents)>, OpenError> {
    let is_complete = contents.is_complete();
    if is_complete && !has_space_for_sled(options) {
        tracing::error!(
            folder = %options.folder.display(),
            "there is too little disk space for sled; the registry starts from its journal"
        );
        return Ok(None);
    }
    match read_or_recreate(options, contents) {
        Err(error) if is_complete => {
            tracing::error!(%error, "the registry starts from its journal, without sled");
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// Reads sled. If its files are damaged or have lost items, moves them aside and creates new ones.
fn read_or_recreate(
    options: &EmbeddedOptions,
    contents: &Contents,
) -> Result<(SledMirror, MirrorContents), OpenError> {
    let reason = match SledMirror::open(options) {
        Ok((mirror, found)) => match lost_items(&found, contents) {
            None => return Ok((mirror, found)),
            Some(reason) => reason,
        },
        Err(OpenError::Damaged { reason, .. }) if !contents.newest.is_empty() => reason,
        Err(error) => return Err(error),
    };
    let folder = &options.folder;
    let aside = reconcile::move_sled_aside(folder).map_err(|cause| OpenError::Folder {
        folder: folder.clone(),
        cause,
    })?;
    tracing::error!(
        reason,
        set_aside = %aside.display(),
        images = contents.newest.len(),
        "the files of sled are set aside and recreated from the journal"
    );
    SledMirror::open(options)
}

/// Returns a reason if sled lacks more than it can lag when a process ends. sled opens a damaged
/// log as if it were new, so this is how such damage shows.
fn lost_items(found: &MirrorContents, contents: &Contents) -> Option<String> {
    let missing = reconcile::missing(contents, |key| found.version_of(key)).len();
    let all = contents.newest.len();
    let is_too_much = missing > MAX_LAG && missing > all / 2;
    is_too_much.then(|| format!("it lacks {missing} of {all} records that were written"))
}

impl Items {
    /// Reads from the journal what sled lacks. Returns the images whose records cannot be read.
    fn read_missing(
        &mut self,
        journal: &Journal,
        contents: &Contents,
        missing: &[Key],
    ) -> Vec<ImageId> {
        let mut unreadable = Vec::new();
        for key in missing {
            let location = contents.newest[key];
            if location.is_purged() {
                self.remove(key);
                continue;
            }
            if let Err(error) = self.read(journal, key, location) {
                tracing::error!(item = %key, %error, "a record of the journal is damaged");
                match key {
                    Key::Image(id) if !self.records.contains_key(id) => unreadable.push(*id),
                    Key::Image(_) | Key::Document(_) => {}
                }
            }
        }
        unreadable
    }

    fn read(&mut self, journal: &Journal, key: &Key, location: FrameLocation) -> io::Result<()> {
        match key {
            Key::Image(id) => {
                let record = journal.read_record(location)?;
                self.records.insert(*id, Arc::new(record));
            }
            Key::Document(key) => {
                let document = journal.read_document(location)?;
                self.documents.insert(key.clone(), Arc::new(document));
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: &Key) {
        match key {
            Key::Image(id) => drop(self.records.remove(id)),
            Key::Document(key) => drop(self.documents.remove(key)),
        }
    }

    fn into_stored(self, document_version: u64) -> Stored {
        let mut documents = DocumentMap::default();
        self.documents
            .into_values()
            .for_each(|document| documents.put(document));
        documents.advance_to(document_version);
        Stored {
            images: Snapshot::of(self.records.into_values()),
            documents,
        }
    }
}

/// Writes to sled what it lacks if that is much, and leaves the rest to the sled writer. Returns
/// the items that are left.
fn update_mirror(
    mirror: Option<SledMirror>,
    missing: Vec<Key>,
    stored: &Stored,
) -> (Option<SledMirror>, HashSet<Key>) {
    let Some(mirror) = mirror else {
        return (None, missing.into_iter().collect());
    };
    if missing.is_empty() {
        return (Some(mirror), HashSet::new());
    }
    tracing::warn!(
        images = missing.len(),
        "records that sled lacks were taken from the registry's journal"
    );
    if missing.len() <= MAX_LAG {
        return (Some(mirror), missing.into_iter().collect());
    }
    for part in missing.chunks(MAX_LAG) {
        if let Err(reason) = mirror.write(part, stored) {
            tracing::error!(reason, "the registry starts from its journal, without sled");
            return (None, missing.into_iter().collect());
        }
    }
    (Some(mirror), HashSet::new())
}

/// Syncs the folder and its parent, so that the names of new files survive a power cut.
fn sync_folders(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests;
