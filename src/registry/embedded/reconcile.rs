//! Reconciles sled and the journal when the registry is opened: the newer state of each item wins,
//! and a damaged file is replaced from the other one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::Version;
use super::journal::{AppendError, Contents, Journal, Purged, push};
use super::key::Key;
use super::stored::Stored;

/// The files of sled 0.34.
const FILES_OF_SLED: [&str; 3] = ["db", "conf", "blobs"];
const SNAPSHOTS_OF_SLED: &str = "snap.";

/// Maximum number of items that are written to sled at once when the registry is opened. If sled
/// lacks more than these and more than half of all, its files count as lost.
pub(super) const MAX_LAG: usize = super::options::MAX_GROUP_LEN;

/// Moves sled's files into a new folder beside them and returns its path. Nothing is deleted.
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

/// Returns an unused file name that contains the current time.
pub(super) fn damaged_name(prefix: &str) -> String {
    format!("{prefix}-{}", crate::clock::since_epoch().as_millis())
}

/// Returns the items whose newest state, or whose removal, is in the journal but not in sled.
pub(super) fn missing(
    contents: &Contents,
    version_of: impl Fn(&Key) -> Option<Version>,
) -> Vec<Key> {
    let newer = contents.newest.iter().filter(|(key, location)| {
        let version = version_of(key);
        match location.is_purged() {
            true => version.is_some_and(|version| version <= location.version),
            false => version < Some(location.version),
        }
    });
    newer.map(|(key, _)| key.clone()).collect()
}

/// Adds to the journal what only sled has; rewrites a damaged journal. `purged` are the tombstones
/// of items that sled may still have: without them in the journal, the items would return if the
/// process ended before sled is written.
pub(super) fn complete(
    journal: &mut Journal,
    contents: &Contents,
    stored: &Stored,
    purged: &Purged,
) -> io::Result<()> {
    if contents.is_damaged() {
        let name = damaged_name("journal.damaged");
        tracing::error!(
            kept_as = name,
            "the registry's journal is damaged and is rewritten"
        );
        return journal.rewrite(stored, purged, Some(&name));
    }
    let known = |key: &Key| contents.newest.get(key).map(|location| location.version);
    let mut frames = Vec::new();
    let mut count = 0;
    for item in stored.items() {
        let (key, version) = (item.key(), item.version());
        if known(&key) >= Some(version) {
            continue;
        }
        count += 1;
        if count > MAX_LAG {
            // Most likely the journal is new: sled is from a release without a journal.
            return journal.rewrite(stored, purged, None);
        }
        let encoded = item.encode().map_err(io::Error::other)?;
        push(&mut frames, &key, version, &encoded);
    }
    if frames.is_empty() {
        return Ok(());
    }
    journal.append(&frames).map_err(|error| match error {
        AppendError::NoSpace(error) | AppendError::Failed(error) => error,
    })
}
