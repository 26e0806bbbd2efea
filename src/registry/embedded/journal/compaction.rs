//! Writing a journal anew, beside the one in use.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::super::super::codec;
use super::super::super::index::Snapshot;
use super::super::permissions::private_file;
use super::frame::{Purged, push};
use super::space::Space;

/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// A compaction under way.
pub(super) struct Compaction {
    thread: JoinHandle<io::Result<(File, u64, Space)>>,
    /// Offset in the old file behind the records that the new file has.
    from: u64,
}

impl Compaction {
    /// Begins to write these records, which are all that the old file has before `from`.
    pub(super) fn start(
        path: PathBuf,
        records: Snapshot,
        purged: Purged,
        from: u64,
        reserve_bytes: u64,
    ) -> io::Result<Self> {
        let thread = std::thread::Builder::new().name("registry-compact".to_owned());
        let thread = thread.spawn(move || write(&path, &records, &purged, reserve_bytes))?;
        Ok(Self { thread, from })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// The new file, synced.
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

/// A new file with all records that the old one had before `from`.
pub(super) struct Compacted {
    pub(super) file: File,
    pub(super) end: u64,
    pub(super) space: Space,
    pub(super) from: u64,
}

/// Writes these records and nothing else. Returns the file, its length in bytes and its space
/// when they would survive a power cut.
///
/// # Errors
/// Those of the file system; the space for all of it is checked first.
pub(super) fn write(
    path: &Path,
    records: &Snapshot,
    purged: &Purged,
    reserve_bytes: u64,
) -> io::Result<(File, u64, Space)> {
    let file = private_file().create(true).truncate(true).open(path)?;
    let mut needed_bytes = 0;
    each_frame(records, purged, |frame| {
        needed_bytes += frame.len() as u64;
        Ok(())
    })?;
    let mut space = Space::new(0, reserve_bytes);
    if !space.has(&file, 0, needed_bytes) {
        let reason = format!("{needed_bytes} bytes and its reserve do not fit on the disk");
        return Err(io::Error::new(io::ErrorKind::StorageFull, reason));
    }
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
    each_frame(records, purged, |frame| file.write_all(frame))?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok((file, needed_bytes, space))
}

fn each_frame(
    records: &Snapshot,
    purged: &Purged,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut frame = Vec::new();
    // Before the records, since an image may have been registered again.
    for (id, version) in purged {
        frame.clear();
        push(&mut frame, id, *version, &[]);
        take(&frame)?;
    }
    for record in records.records() {
        frame.clear();
        let encoded = codec::encode(record).map_err(io::Error::other)?;
        push(&mut frame, &record.image.id, record.version, &encoded);
        take(&frame)?;
    }
    Ok(())
}
