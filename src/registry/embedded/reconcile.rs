//! Making sled and the journal agree, whichever of them has suffered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::codec;
use super::super::index::Snapshot;
use super::journal::{AppendError, Contents, Journal, push};
use crate::image::ImageId;

/// What sled 0.34 has in its folder.
const FILES_OF_SLED: [&str; 3] = ["db", "conf", "blobs"];
const SNAPSHOTS_OF_SLED: &str = "snap.";

/// Most records that sled receives at once at a start. When it lacks more than these and more
/// than half of all, it has lost what it had.
pub(super) const MAX_LAG: usize = super::options::MAX_GROUP_LEN;

/// Moves sled's files into a folder beside them. Nothing is deleted.
pub(super) fn move_sled_aside(folder: &Path) -> io::Result<PathBuf> {
    let aside = folder.join(damaged_name("damaged"));
    fs::create_dir(&aside)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if FILES_OF_SLED.contains(&&*text) || text.starts_with(SNAPSHOTS_OF_SLED) {
            fs::rename(entry.path(), aside.join(&name))?;
        }
    }
    Ok(aside)
}

/// A name that tells when, and that nothing else has.
pub(super) fn damaged_name(what: &str) -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("{what}-{}", since_epoch.unwrap_or_default().as_millis())
}

/// The images whose newest record, or whose removal, is in the journal and not in sled.
pub(super) fn missing(
    contents: &Contents,
    version_of: impl Fn(&ImageId) -> Option<u64>,
) -> Vec<ImageId> {
    let newer = contents.newest.iter().filter(|(id, location)| {
        let version = version_of(id);
        match location.is_purged() {
            true => version.is_some_and(|version| version <= location.version),
            false => version < Some(location.version),
        }
    });
    newer.map(|(id, _)| *id).collect()
}

/// Brings the journal up to what sled has.
pub(super) fn complete(
    journal: &mut Journal,
    contents: &Contents,
    records: &Snapshot,
) -> io::Result<()> {
    if contents.is_damaged() {
        let name = damaged_name("journal.damaged");
        tracing::error!(
            kept_as = name,
            "the registry's journal is damaged and written anew"
        );
        return journal.rewrite(records, Some(&name));
    }
    let known = |id: &ImageId| contents.newest.get(id).map(|location| location.version);
    let mut frames = Vec::new();
    let mut count = 0;
    for record in records.records() {
        if known(&record.image.id) >= Some(record.version) {
            continue;
        }
        count += 1;
        if count > MAX_LAG {
            // A journal that begins, most likely.
            return journal.rewrite(records, None);
        }
        let encoded = codec::encode(record).map_err(io::Error::other)?;
        push(&mut frames, &record.image.id, record.version, &encoded);
    }
    if frames.is_empty() {
        return Ok(());
    }
    journal.append(&frames).map_err(|error| match error {
        AppendError::NoSpace(error) | AppendError::Failed(error) => error,
    })
}
