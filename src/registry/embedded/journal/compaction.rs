//! Rewrites the journal into a new file beside the one in use.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::super::super::documents::DocumentKey;
use super::super::key::Key;
use super::super::permissions::private_file;
use super::super::stored::Stored;
use super::frame::{Purged, push};
use super::space::Space;
use crate::runtime;

/// Size of the write buffer.
const BUFFER_BYTES: usize = 1 << 20;

/// A compaction in progress, on its own thread.
pub(super) struct Compaction {
    thread: JoinHandle<io::Result<(File, u64, Space)>>,
    /// Offset in the old file behind the last frame that the new file covers.
    from: u64,
}

impl Compaction {
    /// Starts to write `stored`, which is everything that the old file has before `from`.
    pub(super) fn start(
        path: PathBuf,
        stored: Stored,
        purged: Purged,
        from: u64,
        reserve_bytes: u64,
    ) -> io::Result<Self> {
        let thread = runtime::spawn("registry-compact", move || {
            write(&path, &stored, &purged, reserve_bytes)
        })?;
        Ok(Self { thread, from })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Returns the new file, which is synced.
    pub(super) fn result(self) -> io::Result<Compacted> {
        let panicked = |_| io::Error::other("the thread that writes it panicked");
        let (file, end, space) = self.thread.join().map_err(panicked)??;
        let from = self.from;
        Ok(Compacted {
            file,
            end,
            space,
            from,
        })
    }
}

/// A new file that covers everything the old one had before `from`.
pub(super) struct Compacted {
    pub(super) file: File,
    pub(super) end: u64,
    pub(super) space: Space,
    pub(super) from: u64,
}

/// Writes these items to a new file and syncs it. Returns the file, its length in bytes and its
/// allocated space.
///
/// # Errors
/// Those of the file system. The disk space for the whole file is checked first.
pub(super) fn write(
    path: &Path,
    stored: &Stored,
    purged: &Purged,
    reserve_bytes: u64,
) -> io::Result<(File, u64, Space)> {
    let file = private_file().create(true).truncate(true).open(path)?;
    let mut needed_bytes = 0;
    each_frame(stored, purged, |frame| {
        needed_bytes += frame.len() as u64;
        Ok(())
    })?;
    let mut space = Space::new(0, reserve_bytes);
    if !space.has(&file, 0, needed_bytes) {
        let reason = format!("{needed_bytes} bytes and its reserve do not fit on the disk");
        return Err(io::Error::new(io::ErrorKind::StorageFull, reason));
    }
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
    each_frame(stored, purged, |frame| file.write_all(frame))?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok((file, needed_bytes, space))
}

fn each_frame(
    stored: &Stored,
    purged: &Purged,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut frame = Vec::new();
    // Tombstones come first: the last frame of a key wins, and a removed image may have been
    // inserted again.
    for (key, version) in purged {
        frame.clear();
        push(&mut frame, key, *version, &[]);
        take(&frame)?;
    }
    let document_version = stored.documents.last_version();
    if document_version > 0 {
        // The tombstones of deleted documents end with this compaction. This frame keeps their
        // versions from being assigned again.
        frame.clear();
        let key = Key::Document(DocumentKey::sequence());
        push(&mut frame, &key, document_version, &[]);
        take(&frame)?;
    }
    for item in stored.items() {
        frame.clear();
        let encoded = item.encode().map_err(io::Error::other)?;
        push(&mut frame, &item.key(), item.version(), &encoded);
        take(&frame)?;
    }
    Ok(())
}
