//! Making sled and the journal agree, whichever of them has suffered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::Record;
use super::super::codec;
use super::super::index::Snapshot;
use super::journal::{Contents, Journal, push};
use crate::image::ImageId;

/// What sled 0.34 has in its folder.
const FILES_OF_SLED: [&str; 3] = ["db", "conf", "blobs"];
const SNAPSHOTS_OF_SLED: &str = "snap.";

/// Records of sled that are put with one batch.
const BATCH: usize = 1000;

/// Most records that a commit can have in the journal while sled has none of them: what the
/// end of a process leaves. Where sled lacks more, it has lost what it had.
pub(super) const MOST_AHEAD: usize = super::options::MOST_IN_GROUP;

/// Moves sled's files into a folder beside them. Nothing is deleted.
pub(super) fn set_sled_aside(folder: &Path) -> io::Result<PathBuf> {
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

/// The records that the journal has in newer versions than these, or alone.
pub(super) fn missing(
    contents: &Contents,
    version_of: impl Fn(&ImageId) -> Option<u64>,
) -> Vec<ImageId> {
    let newer = contents
        .newest
        .iter()
        .filter(|(id, place)| version_of(id) < Some(place.version));
    newer.map(|(id, _)| *id).collect()
}

/// Puts records of the journal into sled; returned are those that could be read, and how many
/// could not.
pub(super) fn restore(
    images: &sled::Tree,
    journal: &Journal,
    contents: &Contents,
    ids: &[ImageId],
) -> sled::Result<(Vec<Arc<Record>>, usize)> {
    let (mut records, mut unreadable) = (Vec::with_capacity(ids.len()), 0);
    for part in ids.chunks(BATCH) {
        let mut batch = sled::Batch::default();
        for id in part {
            match journal.read(contents.newest[id]) {
                Ok((record, bytes)) => {
                    batch.insert(id.as_str().as_bytes(), bytes);
                    records.push(Arc::new(record));
                }
                Err(error) => {
                    tracing::error!(image_id = %id, %error, "a record cannot be restored");
                    unreadable += 1;
                }
            }
        }
        images.apply_batch(batch)?;
    }
    images.flush()?;
    Ok((records, unreadable))
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
    let known = |id: &ImageId| contents.newest.get(id).map(|place| place.version);
    let mut frames = Vec::new();
    let mut count = 0;
    for record in records.records() {
        if known(&record.image.id) >= Some(record.version) {
            continue;
        }
        count += 1;
        if count > MOST_AHEAD {
            // A journal that begins, most likely.
            return journal.rewrite(records, None);
        }
        let encoded = codec::encode(record).map_err(io::Error::other)?;
        push(&mut frames, &record.image.id, record.version, &encoded);
    }
    if frames.is_empty() {
        return Ok(());
    }
    journal.append(&frames, records)
}
