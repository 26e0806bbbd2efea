//! Opening the folder of an embedded registry.
//!
//! The journal and sled are compared, and the newer record counts. The journal alone is
//! enough: where sled cannot be opened, or has no disk space, the registry starts without it
//! and the follower opens it later.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::super::Record;
use super::super::index::Snapshot;
use super::journal::{Contents, Journal, Purged};
use super::open_error::OpenError;
use super::options::EmbeddedOptions;
use super::permissions::{FILE_MODE, create_private_folder, tighten};
use super::reconcile::{self, MAX_LAG};
use super::sled_mirror::{MirrorContents, SledMirror};
use super::sled_writer::has_space_for_sled;
use crate::image::ImageId;

/// Locked by the process that uses the folder.
const LOCK_FILE: &str = "lock";

/// An open registry folder and what was in it.
pub(super) struct Opened {
    pub(super) journal: Journal,
    /// `None` where the registry starts without sled.
    pub(super) mirror: Option<SledMirror>,
    pub(super) snapshot: Snapshot,
    /// Identifiers whose records cannot be read.
    pub(super) damaged: Vec<ImageId>,
    pub(super) image_count: usize,
    /// Images that sled has otherwise than the snapshot.
    pub(super) backlog: HashSet<ImageId>,
    /// Images that were forgotten and sled may still have.
    pub(super) purged: Purged,
    /// Held as long as the folder is used.
    pub(super) lock: File,
}

pub(super) fn open(options: &EmbeddedOptions) -> Result<Opened, OpenError> {
    let folder = &options.folder;
    let in_folder = |cause| OpenError::Folder {
        folder: folder.clone(),
        cause,
    };
    create_private_folder(folder).map_err(in_folder)?;
    let lock = lock(folder)?;
    tighten(folder);
    let (mut journal, contents) =
        Journal::open(folder, options.reserve_bytes).map_err(in_folder)?;
    let (mirror, found) = open_sled(options, &contents)?.unzip();
    let MirrorContents {
        mut records,
        mut damaged,
    } = found.unwrap_or_default();
    let version_of = |id: &ImageId| records.get(id).map(|record| record.version);
    let missing = reconcile::missing(&contents, version_of);
    let unreadable = read_missing(&mut records, &journal, &contents, &missing);
    damaged.retain(|id| !records.contains_key(id) && !contents.purges(id));
    damaged.extend(unreadable);
    let image_count = records.len() + damaged.len();
    let snapshot = Snapshot::of(records.into_values());
    let (mirror, backlog) = update_mirror(mirror, missing, &snapshot);
    let purged = backlog.iter().filter_map(|id| contents.purged(id));
    let purged: Purged = purged.collect();
    match reconcile::complete(&mut journal, &contents, &snapshot) {
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
        snapshot,
        damaged,
        image_count,
        backlog,
        purged,
        lock,
    })
}

/// sled has a lock of its own, on a file that may have to be set aside.
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

/// Opens sled. Without a journal that holds everything, sled must be there.
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

/// What sled has; when it can no longer tell, nothing, in files of its own.
fn read_or_recreate(
    options: &EmbeddedOptions,
    contents: &Contents,
) -> Result<(SledMirror, MirrorContents), OpenError> {
    let reason = match SledMirror::open(options) {
        Ok((mirror, found)) => match missing_too_much(&found, contents) {
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
        "the files of sled are set aside and made anew from the journal"
    );
    SledMirror::open(options)
}

/// Whether sled lacks more than it can be behind the journal when a process ends.
fn missing_too_much(found: &MirrorContents, contents: &Contents) -> Option<String> {
    let missing = reconcile::missing(contents, |id| found.version_of(id)).len();
    let all = contents.newest.len();
    let is_too_much = missing > MAX_LAG && missing > all / 2;
    is_too_much.then(|| format!("it missing_too_much {missing} of {all} records that were written"))
}

/// Takes records from the journal. Returned are the images whose records cannot be read.
fn read_missing(
    records: &mut HashMap<ImageId, Arc<Record>>,
    journal: &Journal,
    contents: &Contents,
    missing: &[ImageId],
) -> Vec<ImageId> {
    let mut unreadable = Vec::new();
    for id in missing {
        let location = contents.newest[id];
        if location.is_purged() {
            records.remove(id);
            continue;
        }
        match journal.read(location) {
            Ok((record, _)) => {
                records.insert(*id, Arc::new(record));
            }
            Err(error) => {
                tracing::error!(image_id = %id, %error, "a record of the journal is damaged");
                if !records.contains_key(id) {
                    unreadable.push(*id);
                }
            }
        }
    }
    unreadable
}

/// Gives sled what it lacks when that is much; little is left to the follower. Without sled,
/// all images are left to it.
fn update_mirror(
    mirror: Option<SledMirror>,
    missing: Vec<ImageId>,
    snapshot: &Snapshot,
) -> (Option<SledMirror>, HashSet<ImageId>) {
    let Some(mirror) = mirror else {
        return (None, missing.into_iter().collect());
    };
    if missing.is_empty() {
        return (Some(mirror), HashSet::new());
    }
    tracing::warn!(
        images = missing.len(),
        "records that sled missing_too_much were taken from the registry's journal"
    );
    if missing.len() <= MAX_LAG {
        return (Some(mirror), missing.into_iter().collect());
    }
    for part in missing.chunks(MAX_LAG) {
        if let Err(reason) = mirror.write(part, snapshot) {
            tracing::error!(reason, "the registry starts from its journal, without sled");
            return (None, missing.into_iter().collect());
        }
    }
    (Some(mirror), HashSet::new())
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
