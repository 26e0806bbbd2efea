//! Writing a journal anew, beside the one in use.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::super::super::codec;
use super::super::super::index::Snapshot;
use super::frame::push;

/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// A compaction under way.
pub(super) struct Compaction {
    thread: JoinHandle<io::Result<(File, u64)>>,
    /// Where in the old file begins what it does not know of.
    from: u64,
}

impl Compaction {
    /// Begins to write these records, which are all that the old file has before `from`.
    pub(super) fn start(path: PathBuf, records: Snapshot, from: u64) -> io::Result<Self> {
        let thread = std::thread::Builder::new().name("registry-compact".to_owned());
        let thread = thread.spawn(move || write(&path, &records))?;
        Ok(Self { thread, from })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// The new file, its length, and from where on the old one has more.
    pub(super) fn result(self) -> io::Result<(File, u64, u64)> {
        let panicked = |_| io::Error::other("the thread that writes it panicked");
        let (file, len) = self.thread.join().map_err(panicked)??;
        Ok((file, len, self.from))
    }
}

/// Writes these records and nothing else. Returns when they would survive a power cut.
pub(super) fn write(path: &Path, records: &Snapshot) -> io::Result<(File, u64)> {
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(true);
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, options.open(path)?);
    let (mut frame, mut len) = (Vec::new(), 0);
    for record in records.records() {
        frame.clear();
        let encoded = codec::encode(record).map_err(io::Error::other)?;
        push(&mut frame, &record.image.id, record.version, &encoded);
        file.write_all(&frame)?;
        len += frame.len() as u64;
    }
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok((file, len))
}
