//! The journal: the write-ahead log of the embedded registry.
//!
//! A write is acknowledged once its frame ([`frame`]) is in this file and the file is synced. sled
//! receives the item later. So the journal holds every acknowledged write, whatever happens to
//! sled's files, which are known to break (spacejam/sled#1452, #1527, #1533).
//!
//! When the file has grown to more than twice its size after the last compaction, another thread
//! writes the newest items to a new file beside it. Appends continue meanwhile; they are copied at
//! the end, and the new file replaces the old one between two appends. A failed compaction removes
//! its file and does not affect the journal in use.

mod compaction;
mod frame;
mod reader;
mod scan;
mod space;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::Record;
use super::super::documents::Document;
use super::permissions::private_file;
use super::stored::Stored;
use compaction::{Compacted, Compaction};
pub(super) use frame::{Purged, push};
pub use reader::JournalReader;
pub(super) use scan::{Contents, FrameLocation};
use space::Space;
pub(super) use space::is_no_space;

const FILE: &str = "journal";
const NEXT_FILE: &str = "journal.new";

/// Growth below which no compaction is started.
const SLACK_BYTES: u64 = 16 << 20;

/// Delay of the next compaction after one has failed.
const COMPACT_AGAIN: Duration = Duration::from_secs(60);

/// An open journal.
pub(super) struct Journal {
    folder: PathBuf,
    file: File,
    end: u64,
    space: Space,
    reserve_bytes: u64,
    /// Length of the file after the last compaction.
    compact_bytes: u64,
    compaction: Option<Compaction>,
    /// Earliest start of the next compaction, after one has failed.
    compact_after: Option<Instant>,
}

/// The reason why frames were not appended.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppendError {
    /// There is not enough disk space. Nothing was appended; a later append can succeed.
    #[error("there is not enough disk space: {0}")]
    NoSpace(#[source] io::Error),
    /// The content of the disk is unknown. The journal must not be used any more.
    #[error("{0}")]
    Failed(#[source] io::Error),
}

impl Journal {
    /// Opens the journal of a folder that this process has locked, or creates an empty one, and
    /// allocates its reserve.
    ///
    /// # Errors
    /// Those of the file system.
    pub(super) fn open(folder: &Path, reserve_bytes: u64) -> io::Result<(Self, Contents)> {
        // A process that ended during a compaction leaves this file.
        remove_if_there(&folder.join(NEXT_FILE))?;
        let file = private_file().create(true).open(folder.join(FILE))?;
        let contents = scan::scan(&file)?;
        if contents.torn_bytes > 0 {
            // The torn bytes belong to a write that was never acknowledged. They must go before
            // the next append, which would otherwise turn them into damage between frames.
            file.set_len(contents.end)?;
        }
        let mut space = Space::new(contents.end, reserve_bytes);
        if !space.has(&file, contents.end, 0) {
            tracing::error!(
                reserve_bytes,
                "there is no disk space for the reserve of the registry's journal; new images \
                 and changes are refused until there is"
            );
        }
        let journal = Self {
            folder: folder.to_owned(),
            space,
            file,
            end: contents.end,
            reserve_bytes,
            compact_bytes: contents.end / 2,
            compaction: None,
            compact_after: None,
        };
        Ok((journal, contents))
    }

    /// Reads the record of an image.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` if it is damaged.
    pub(super) fn read_record(&self, location: FrameLocation) -> io::Result<Record> {
        location.read_record(&self.file)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` if it is damaged.
    pub(super) fn read_document(&self, location: FrameLocation) -> io::Result<Document> {
        location.read_document(&self.file)
    }

    /// Returns true if this many bytes can be appended without using the reserve.
    pub(super) fn has_space(&mut self, bytes: usize) -> bool {
        self.space.has(&self.file, self.end, bytes as u64)
    }

    /// Appends frames and syncs them. Returns once they would survive a power cut.
    ///
    /// # Errors
    /// [`AppendError`].
    pub(super) fn append(&mut self, frames: &[u8]) -> Result<(), AppendError> {
        if let Err(error) = self.file.write_all_at(frames, self.end) {
            if !is_no_space(&error) {
                return Err(AppendError::Failed(error));
            }
            // Some frames may have been written. The next start must not find them, because their
            // writes are refused.
            self.file.set_len(self.end).map_err(AppendError::Failed)?;
            self.space.was_cut(self.end);
            return Err(AppendError::NoSpace(error));
        }
        // fdatasync also syncs a changed file length, because the bytes could not be read without
        // it (POSIX).
        self.file.sync_data().map_err(AppendError::Failed)?;
        self.end += frames.len() as u64;
        Ok(())
    }

    /// Starts a compaction if one is due, and installs the file of a finished one. `stored` and
    /// `purged` are the content of the whole journal.
    ///
    /// # Errors
    /// If the journal must not be used any more. A failed compaction is not an error.
    pub(super) fn compact_if_due(
        &mut self,
        stored: &Stored,
        purged: impl FnOnce() -> Purged,
    ) -> io::Result<()> {
        match self.compaction.take() {
            Some(running) if !running.has_ended() => self.compaction = Some(running),
            // This runs on the commit thread between two appends, so no frame can be added while
            // the tail is copied and the files are exchanged.
            Some(ended) => match ended.result().and_then(|done| self.copy_tail(done)) {
                Ok((file, end, space)) => self.install(file, end, space)?,
                Err(error) => self.postpone_compaction(&error),
            },
            None if self.is_compaction_due() => {
                let next = self.folder.join(NEXT_FILE);
                // The clones are immutable snapshots: commits continue while they are written.
                let (stored, purged) = (stored.clone(), purged());
                let started = Compaction::start(next, stored, purged, self.end, self.reserve_bytes);
                match started {
                    Ok(compaction) => self.compaction = Some(compaction),
                    Err(error) => self.postpone_compaction(&error),
                }
            }
            None => {}
        }
        Ok(())
    }

    fn is_compaction_due(&self) -> bool {
        let may_start = self.compact_after.is_none_or(|at| at <= Instant::now());
        may_start && self.end > 2 * self.compact_bytes + SLACK_BYTES
    }

    fn postpone_compaction(&mut self, error: &io::Error) {
        tracing::warn!(%error, "the registry's journal cannot be compacted; it is tried again");
        if let Err(error) = remove_if_there(&self.folder.join(NEXT_FILE)) {
            tracing::warn!(%error, "the file of a failed compaction cannot be removed");
        }
        self.compact_after = Some(Instant::now() + COMPACT_AGAIN);
    }

    /// Copies the frames that were appended during the compaction, and syncs the new file.
    fn copy_tail(&self, compacted: Compacted) -> io::Result<(File, u64, Space)> {
        let Compacted {
            file,
            end,
            mut space,
            from,
        } = compacted;
        let mut tail = vec![0; usize::try_from(self.end - from).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut tail, from)?;
        if !space.has(&file, end, tail.len() as u64) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all_at(&tail, end)?;
        file.sync_all()?;
        Ok((file, end + tail.len() as u64, space))
    }

    /// Replaces the old file by the new one. The new file is synced before the rename, and the
    /// folder after it, so that a power cut leaves either of them whole.
    fn install(&mut self, file: File, end: u64, space: Space) -> io::Result<()> {
        fs::rename(self.folder.join(NEXT_FILE), self.folder.join(FILE))?;
        File::open(&self.folder)?.sync_all()?;
        (self.file, self.end, self.space) = (file, end, space);
        (self.compact_bytes, self.compact_after) = (end, None);
        Ok(())
    }

    /// Rewrites the journal with these items and tombstones when the registry is opened. A damaged
    /// file is kept under the name `keep_as`.
    ///
    /// # Errors
    /// Those of the file system. The old file is still in place then.
    pub(super) fn rewrite(
        &mut self,
        stored: &Stored,
        purged: &Purged,
        keep_as: Option<&str>,
    ) -> io::Result<()> {
        let next = self.folder.join(NEXT_FILE);
        let written = compaction::write(&next, stored, purged, self.reserve_bytes);
        let (file, end, space) = written.inspect_err(|_| drop(fs::remove_file(&next)))?;
        if let Some(name) = keep_as {
            fs::rename(self.folder.join(FILE), self.folder.join(name))?;
        }
        self.install(file, end, space)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
