//! The cache's folder on disk: cached images, files of running fills, the prefetch queue, and the
//! record of usage.
//!
//! A fill writes below `incomplete`. Its file is synced and then renamed, so a file with the name
//! of a cached image is complete, also after a power cut. All methods block.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::entry_name::{EntryName, written_ns};
use crate::image::{ImageId, Md5Digest};
use crate::transfer::{Directory, reserve_space};

const INCOMPLETE: &str = "incomplete";
const QUEUE: &str = "queue";
const STATE: &str = "state";
const USAGE: &str = "usage";
const NEW_USAGE: &str = "usage.new";

/// The largest usage record that is read, enough for about 600,000 images.
const MAX_USAGE_BYTES: u64 = 64 * 1024 * 1024;

/// The opened folder.
#[derive(Debug)]
pub(super) struct CacheFolder {
    path: PathBuf,
    cached: Directory,
    incomplete: Directory,
    queue: Directory,
    state: Directory,
}

impl CacheFolder {
    /// Opens the folder, creates it if necessary, and removes the files of interrupted fills.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let below = |name: &str| {
            let folder = path.join(name);
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o750).create(&folder)?;
            Directory::open(&folder)
        };
        let (incomplete, queue, state) = (below(INCOMPLETE)?, below(QUEUE)?, below(STATE)?);
        // Files here belong to fills of an earlier process. One that still runs keeps its open
        // descriptors, so removing the names does not disturb its readers.
        for name in names(&path.join(INCOMPLETE))? {
            incomplete.remove(&name)?;
        }
        Ok(Self {
            cached: Directory::open(&path)?,
            incomplete,
            queue,
            state,
            path,
        })
    }

    /// Lists the cached images. Files that do not match their name are removed; files with other
    /// names are left alone.
    pub(super) fn scan(&self) -> io::Result<Vec<EntryName>> {
        let mut found = Vec::new();
        for text in names(&self.path)? {
            if [INCOMPLETE, QUEUE, STATE].contains(&&*text) {
                continue;
            }
            let Some(name) = EntryName::parse(&text) else {
                tracing::warn!(file = text, "not a file of the image cache; ignoring it");
                continue;
            };
            let file = fs::symlink_metadata(self.path.join(&text))?;
            if name.fits(&file) {
                found.push(name);
            } else {
                tracing::warn!(file = text, "a cached image was changed; removing it");
                self.cached.remove(&text)?;
            }
        }
        Ok(found)
    }

    /// Creates the file of a fill and allocates its disk space.
    pub(super) fn stage(&self, fill: Uuid, size_bytes: u64) -> io::Result<File> {
        let name = fill.to_string();
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        let file = self.incomplete.open_with(&name, flags, 0o600)?;
        match reserve_space(&file, size_bytes) {
            Ok(()) => Ok(file),
            Err(error) => {
                self.incomplete.remove(&name)?;
                Err(error)
            }
        }
    }

    /// Removes the file of a failed fill.
    pub(super) fn discard(&self, fill: Uuid) -> io::Result<()> {
        self.incomplete.remove(&fill.to_string())
    }

    /// Syncs a complete file and renames it to the name of a cached image.
    pub(super) fn publish(
        &self,
        fill: Uuid,
        file: &File,
        image: ImageId,
        digest: Md5Digest,
    ) -> io::Result<EntryName> {
        // Before the rename: after a power cut, a file with a valid name must have all its bytes.
        file.sync_all()?;
        let metadata = file.metadata()?;
        let name = EntryName {
            image,
            size_bytes: metadata.len(),
            written_ns: written_ns(&metadata),
            digest,
        };
        let staged = fill.to_string();
        // Replacing is harmless: a file of the same name has the same image, size, time and MD5.
        self.incomplete
            .replace(&staged, &self.cached, &name.to_string())?;
        Ok(name)
    }

    /// Opens a cached image if that does not block.
    ///
    /// # Errors
    /// `WouldBlock` if opening may have to wait for the disk.
    pub(super) fn open_without_blocking(&self, name: &EntryName) -> io::Result<File> {
        self.cached.open_cached(&name.to_string())
    }

    /// Opens a cached image.
    pub(super) fn open_blocking(&self, name: &EntryName) -> io::Result<File> {
        self.cached.open_file(&name.to_string())
    }

    /// Removes a cached image.
    pub(super) fn remove(&self, name: &EntryName) -> io::Result<()> {
        self.cached.remove(&name.to_string())
    }

    /// Replaces the usage record. The file is not synced: after a power cut all images may count as
    /// unused, which is acceptable.
    pub(super) fn save_usage(&self, text: &str) -> io::Result<()> {
        // A crash may have left the temporary file, which `O_EXCL` would refuse.
        self.state.remove(NEW_USAGE)?;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let mut file = self.state.open_with(NEW_USAGE, flags, 0o600)?;
        file.write_all(text.as_bytes())?;
        self.state.replace(NEW_USAGE, &self.state, USAGE)
    }

    /// Reads the usage record; empty if there is none.
    pub(super) fn saved_usage(&self) -> io::Result<String> {
        let file = match self.state.open_file(USAGE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_USAGE_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the free space of the file system, in bytes.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        self.cached.free_bytes()
    }

    /// Lists the queued images in their order. Files with other names are removed.
    pub(super) fn queued(&self) -> io::Result<Vec<(u64, ImageId)>> {
        let mut queued = Vec::new();
        for name in names(&self.path.join(QUEUE))? {
            match name
                .split_once('.')
                .map(|(sequence, id)| (sequence.parse(), id.parse()))
            {
                Some((Ok(sequence), Ok(id))) => queued.push((sequence, id)),
                _ => self.queue.remove(&name)?,
            }
        }
        queued.sort_unstable();
        Ok(queued)
    }

    /// Adds an image to the queue, durably.
    pub(super) fn enqueue(&self, sequence: u64, image: ImageId) -> io::Result<()> {
        // Without `O_EXCL`: adding an image twice is not an error.
        let flags = libc::O_WRONLY | libc::O_CREAT;
        self.queue
            .open_with(&queue_name(sequence, image), flags, 0o600)?;
        self.queue.sync()
    }

    /// Removes an image from the queue, durably.
    pub(super) fn dequeue(&self, sequence: u64, image: ImageId) -> io::Result<()> {
        self.queue.remove(&queue_name(sequence, image))?;
        self.queue.sync()
    }
}

fn queue_name(sequence: u64, image: ImageId) -> String {
    format!("{sequence:020}.{image}")
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        // Names that are not UTF-8 are not the cache's.
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}
