//! The journal: a second copy of every record, in a file that needs nobody's cleverness.
//!
//! Each commit appends its records ([`frame`]) and syncs them while sled does its own work,
//! and is acknowledged when both are durable. So whatever becomes of sled's files, which are
//! known to break (spacejam/sled#1452, #1527, #1533), every acknowledged record is here.
//!
//! When the file has grown to twice what it was and some, it is written anew with the newest
//! records alone: beside it, by another thread, while commits go on; what they append
//! meanwhile is copied, and the new file takes the old one's place within one commit.

mod compaction;
mod copy;
mod frame;
mod scan;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::Record;
use super::super::index::Snapshot;
use compaction::Compaction;
pub use copy::Journalled;
pub(super) use frame::push;
pub(super) use scan::{Contents, Place};

const FILE: &str = "journal";
const NEXT_FILE: &str = "journal.new";

/// Growth that is never worth a compaction.
const SLACK_BYTES: u64 = 16 << 20;

/// An open journal.
pub(super) struct Journal {
    folder: PathBuf,
    file: File,
    end: u64,
    /// Bytes after the compaction before.
    compact_bytes: u64,
    compaction: Option<Compaction>,
}

impl Journal {
    /// Opens the journal of a folder that this process alone uses, or makes an empty one.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Contents)> {
        // A process that ended in the midst of a compaction.
        remove_if_there(&folder.join(NEXT_FILE))?;
        let mut options = File::options();
        let options = options.read(true).write(true).create(true);
        let file = options.truncate(false).open(folder.join(FILE))?;
        let contents = scan::scan(&file)?;
        let journal = Self {
            folder: folder.to_owned(),
            file,
            end: contents.end,
            compact_bytes: contents.end / 2,
            compaction: None,
        };
        if contents.torn_bytes > 0 {
            // Nobody was told that these are written.
            journal.file.set_len(contents.end)?;
        }
        Ok((journal, contents))
    }

    /// The record at a place, and its bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(&self, place: Place) -> io::Result<(Record, Vec<u8>)> {
        place.read(&self.file)
    }

    /// Appends frames, and returns when they would survive a power cut. After an error it is
    /// of no more use. `before` are all records but these.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn append(&mut self, frames: &[u8], before: &Snapshot) -> io::Result<()> {
        self.care_for_size(before)?;
        self.file.write_all_at(frames, self.end)?;
        self.end += frames.len() as u64;
        self.file.sync_data()
    }

    /// Starts a compaction when it is time, and takes over what one has done.
    fn care_for_size(&mut self, records: &Snapshot) -> io::Result<()> {
        match self.compaction.take() {
            Some(running) if !running.has_ended() => self.compaction = Some(running),
            Some(ended) => match ended.result() {
                Ok((file, len, from)) => self.take_over(file, len, from)?,
                Err(error) => {
                    tracing::warn!(%error, "the registry's journal cannot be made smaller");
                    // Tried again when it has grown as much once more.
                    self.compact_bytes = self.end;
                }
            },
            None if self.end > 2 * self.compact_bytes + SLACK_BYTES => {
                let next = self.folder.join(NEXT_FILE);
                self.compaction = Some(Compaction::start(next, records.clone(), self.end)?);
            }
            None => {}
        }
        Ok(())
    }

    /// Puts the new file in the place of the old one, with what was appended since `from`.
    fn take_over(&mut self, file: File, len: u64, from: u64) -> io::Result<()> {
        let mut tail = vec![0; usize::try_from(self.end - from).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut tail, from)?;
        file.write_all_at(&tail, len)?;
        file.sync_all()?;
        self.swap(file, len + tail.len() as u64)
    }

    fn swap(&mut self, file: File, end: u64) -> io::Result<()> {
        fs::rename(self.folder.join(NEXT_FILE), self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()?;
        (self.file, self.end, self.compact_bytes) = (file, end, end);
        Ok(())
    }

    /// Writes it anew with these records; before anything else uses it. A damaged file is
    /// kept beside it.
    ///
    /// # Errors
    /// Those of the file system; the file before is still there then.
    pub(super) fn rewrite(&mut self, records: &Snapshot, keep_as: Option<&str>) -> io::Result<()> {
        let next = self.folder.join(NEXT_FILE);
        let (file, len) = compaction::write(&next, records)?;
        if let Some(name) = keep_as {
            fs::rename(self.folder.join(FILE), self.folder.join(name))?;
        }
        self.swap(file, len)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::codec;
    use super::super::super::conformance::image;
    use super::*;

    fn frames(records: &[Arc<Record>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            let encoded = codec::encode(record).unwrap();
            push(&mut bytes, &record.image.id, record.version, &encoded);
        }
        bytes
    }

    #[test]
    fn it_stays_small_and_forgets_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, contents) = Journal::open(folder.path()).unwrap();
        assert!(contents.newest.is_empty());
        let mut large = image("large");
        let value = "x".repeat(50_000);
        large.properties.insert("large".to_owned(), Some(value));
        let mut records = Snapshot::of([]);
        let kept = Arc::new(Record::new(image("kept"), 1));
        journal
            .append(&frames(&[Arc::clone(&kept)]), &records)
            .unwrap();
        records.put(Arc::clone(&kept));
        for version in 1..=2000 {
            let record = Arc::new(Record::new(large.clone(), version));
            let frames = frames(&[Arc::clone(&record)]);
            journal.append(&frames, &records).unwrap();
            records.put(record);
            if version % 300 == 0 {
                // However fast this loop is, a compaction comes to its end.
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        let len = fs::metadata(folder.path().join(FILE)).unwrap().len();
        assert!(len < 3 * SLACK_BYTES, "{len} bytes of 100 MB");
        drop(journal);
        let (journal, contents) = Journal::open(folder.path()).unwrap();
        assert_eq!(contents.newest.len(), 2);
        assert_eq!(contents.newest[&large.id].version, 2000);
        let (record, _) = journal.read(contents.newest[&kept.image.id]).unwrap();
        assert_eq!(record, *kept);
        assert!(!folder.path().join(NEXT_FILE).exists());
    }

    #[test]
    fn what_was_torn_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        let records: Vec<_> = (1..=2)
            .map(|version| Arc::new(Record::new(image("x"), version)))
            .collect();
        journal
            .append(&frames(&records), &Snapshot::of([]))
            .unwrap();
        let len = journal.end;
        journal.file.set_len(len - 3).unwrap();
        drop(journal);
        let (mut journal, contents) = Journal::open(folder.path()).unwrap();
        assert_eq!(contents.newest.len(), 1);
        journal
            .append(&frames(&records[1..]), &Snapshot::of([]))
            .unwrap();
        drop(journal);
        let (_, contents) = Journal::open(folder.path()).unwrap();
        assert_eq!((contents.newest.len(), contents.damaged_bytes), (2, 0));
    }
}
