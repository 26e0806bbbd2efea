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
use super::follower::has_space_for_sled;
use super::journal::{Contents, Forgotten, Journal};
use super::open_error::OpenError;
use super::options::SledOptions;
use super::permissions::{FILE_MODE, create_private_folder, tighten};
use super::rebuild::{self, MOST_AHEAD};
use super::sled_copy::{Found, SledCopy};
use crate::image::ImageId;

/// Locked by the process that uses the folder.
const LOCK_FILE: &str = "lock";

/// An open registry folder and what was in it.
pub(super) struct Opened {
    pub(super) journal: Journal,
    /// `None` where the registry starts without sled.
    pub(super) copy: Option<SledCopy>,
    pub(super) snapshot: Snapshot,
    /// Identifiers whose records cannot be read.
    pub(super) damaged: Vec<ImageId>,
    pub(super) image_count: usize,
    /// Images that sled has otherwise than the snapshot.
    pub(super) behind: HashSet<ImageId>,
    /// Images that were forgotten and sled may still have.
    pub(super) forgotten: Forgotten,
    /// Held as long as the folder is used.
    pub(super) lock: File,
}

pub(super) fn open(options: &SledOptions) -> Result<Opened, OpenError> {
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
    let (copy, found) = open_sled(options, &contents)?.unzip();
    let Found {
        mut records,
        mut damaged,
    } = found.unwrap_or_default();
    let version_of = |id: &ImageId| records.get(id).map(|record| record.version);
    let missing = rebuild::missing(&contents, version_of);
    let unreadable = take_from_journal(&mut records, &journal, &contents, &missing);
    damaged.retain(|id| !records.contains_key(id) && !contents.forgets(id));
    damaged.extend(unreadable);
    let image_count = records.len() + damaged.len();
    let snapshot = Snapshot::of(records.into_values());
    let (copy, behind) = bring_up(copy, missing, &snapshot);
    let forgotten = behind.iter().filter_map(|id| contents.forgotten(id));
    let forgotten: Forgotten = forgotten.collect();
    match rebuild::complete(&mut journal, &contents, &snapshot) {
        Err(error) if super::journal::is_no_space(&error) => tracing::error!(
            %error,
            "the registry's journal cannot be completed from sled; the next start tries again"
        ),
        result => result.map_err(in_folder)?,
    }
    sync_folders(folder).map_err(in_folder)?;
    Ok(Opened {
        journal,
        copy,
        snapshot,
        damaged,
        image_count,
        behind,
        forgotten,
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
    options: &SledOptions,
    contents: &Contents,
) -> Result<Option<(SledCopy, Found)>, OpenError> {
    let has_all = contents.has_all();
    if has_all && !has_space_for_sled(options) {
        tracing::error!(
            folder = %options.folder.display(),
            "there is too little disk space for sled; the registry starts from its journal"
        );
        return Ok(None);
    }
    match read_or_begin_anew(options, contents) {
        Err(error) if has_all => {
            tracing::error!(%error, "the registry starts from its journal, without sled");
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// What sled has; when it can no longer tell, nothing, in files of its own.
fn read_or_begin_anew(
    options: &SledOptions,
    contents: &Contents,
) -> Result<(SledCopy, Found), OpenError> {
    let reason = match SledCopy::open(options) {
        Ok((copy, found)) => match lacks(&found, contents) {
            None => return Ok((copy, found)),
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
        "the files of sled are set aside and made anew from the journal"
    );
    SledCopy::open(options)
}

/// Whether sled lacks more than it can be behind the journal when a process ends.
fn lacks(found: &Found, contents: &Contents) -> Option<String> {
    let missing = rebuild::missing(contents, |id| found.version_of(id)).len();
    let all = contents.newest.len();
    let is_too_much = missing > MOST_AHEAD && missing > all / 2;
    is_too_much.then(|| format!("it lacks {missing} of {all} records that were written"))
}

/// Takes records from the journal. Returned are the images whose records cannot be read.
fn take_from_journal(
    records: &mut HashMap<ImageId, Arc<Record>>,
    journal: &Journal,
    contents: &Contents,
    missing: &[ImageId],
) -> Vec<ImageId> {
    let mut unreadable = Vec::new();
    for id in missing {
        let place = contents.newest[id];
        if place.is_forgotten() {
            records.remove(id);
            continue;
        }
        match journal.read(place) {
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
fn bring_up(
    copy: Option<SledCopy>,
    missing: Vec<ImageId>,
    snapshot: &Snapshot,
) -> (Option<SledCopy>, HashSet<ImageId>) {
    let Some(copy) = copy else {
        return (None, missing.into_iter().collect());
    };
    if missing.is_empty() {
        return (Some(copy), HashSet::new());
    }
    tracing::warn!(
        images = missing.len(),
        "records that sled lacks were taken from the registry's journal"
    );
    if missing.len() <= MOST_AHEAD {
        return (Some(copy), missing.into_iter().collect());
    }
    for part in missing.chunks(MOST_AHEAD) {
        if let Err(reason) = copy.write(part, snapshot) {
            tracing::error!(reason, "the registry starts from its journal, without sled");
            return (None, missing.into_iter().collect());
        }
    }
    (Some(copy), HashSet::new())
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
