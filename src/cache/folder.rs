//! The cache's folder on disk: kept images, fills under way, the queue, and
//! how images were used.
//!
//! A fill writes below `incomplete`, is synced, and gets its name by a rename: what has the
//! name of a kept image is one, whenever the power went. All of this blocks.

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

/// Longest record of usage that is read: of some 600,000 images.
const MAX_USAGE_BYTES: u64 = 64 * 1024 * 1024;

/// The open folder.
#[derive(Debug)]
pub(super) struct CacheFolder {
    path: PathBuf,
    kept: Directory,
    incomplete: Directory,
    queue: Directory,
    state: Directory,
}

impl CacheFolder {
    /// Opens the folder, makes it if need be, and removes what fills left that were cut off.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let below = |name: &str| {
            let folder = path.join(name);
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o750).create(&folder)?;
            Directory::open(&folder)
        };
        let (incomplete, queue, state) = (below(INCOMPLETE)?, below(QUEUE)?, below(STATE)?);
        for name in names(&path.join(INCOMPLETE))? {
            incomplete.remove(&name)?;
        }
        Ok(Self {
            kept: Directory::open(&path)?,
            incomplete,
            queue,
            state,
            path,
        })
    }

    /// The kept images that are as they were. Those that are not are removed; files of others
    /// are left alone.
    pub(super) fn scan(&self) -> io::Result<Vec<EntryName>> {
        let mut found = Vec::new();
        for text in names(&self.path)? {
            if [INCOMPLETE, QUEUE, STATE].contains(&&*text) {
                continue;
            }
            let Some(name) = EntryName::parse(&text) else {
                tracing::warn!(
                    file = text,
                    "not a file of the image cache; it is left alone"
                );
                continue;
            };
            let file = fs::symlink_metadata(self.path.join(&text))?;
            if name.fits(&file) {
                found.push(name);
            } else {
                tracing::warn!(file = text, "a cached image was changed; it is removed");
                self.kept.remove(&text)?;
            }
        }
        Ok(found)
    }

    /// Makes the file of a fill, with room for all of it.
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

    /// Removes the file of a fill.
    pub(super) fn discard(&self, fill: Uuid) -> io::Result<()> {
        self.incomplete.remove(&fill.to_string())
    }

    /// Gives a complete fill the name of a kept image, once its bytes are on the device.
    pub(super) fn publish(
        &self,
        fill: Uuid,
        file: &File,
        image: ImageId,
        digest: Md5Digest,
    ) -> io::Result<EntryName> {
        file.sync_all()?;
        let metadata = file.metadata()?;
        let name = EntryName {
            image,
            size_bytes: metadata.len(),
            written_ns: written_ns(&metadata),
            digest,
        };
        let staged = fill.to_string();
        // A file of that name would be of the same image, bytes and moment.
        self.incomplete
            .replace(&staged, &self.kept, &name.to_string())?;
        Ok(name)
    }

    /// Opens a kept image if that needs no waiting.
    pub(super) fn open_cached(&self, name: &EntryName) -> io::Result<File> {
        self.kept.open_cached(&name.to_string())
    }

    /// Opens a kept image.
    pub(super) fn open_kept(&self, name: &EntryName) -> io::Result<File> {
        self.kept.open_file(&name.to_string())
    }

    /// Removes a kept image.
    pub(super) fn remove(&self, name: &EntryName) -> io::Result<()> {
        self.kept.remove(&name.to_string())
    }

    /// Puts what is to be remembered of the use of images in the place of what was. Not
    /// durably: a power cut may take it, and then images have not been used.
    pub(super) fn save_usage(&self, text: &str) -> io::Result<()> {
        self.state.remove(NEW_USAGE)?;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let mut file = self.state.open_with(NEW_USAGE, flags, 0o600)?;
        file.write_all(text.as_bytes())?;
        self.state.replace(NEW_USAGE, &self.state, USAGE)
    }

    /// What is remembered of the use of images.
    pub(super) fn saved_usage(&self) -> io::Result<String> {
        let file = match self.state.open_file(USAGE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_USAGE_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Bytes of the file system that are free.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        self.kept.free_bytes()
    }

    /// The queued images, first come first.
    pub(super) fn queued(&self) -> io::Result<Vec<(u64, ImageId)>> {
        let mut queued = Vec::new();
        for name in names(&self.path.join(QUEUE))? {
            match name
                .split_once('.')
                .map(|(at, id)| (at.parse(), id.parse()))
            {
                Some((Ok(at), Ok(id))) => queued.push((at, id)),
                _ => self.queue.remove(&name)?,
            }
        }
        queued.sort_unstable();
        Ok(queued)
    }

    /// Notes an image in the queue, durably.
    pub(super) fn enqueue(&self, at: u64, image: ImageId) -> io::Result<()> {
        let flags = libc::O_WRONLY | libc::O_CREAT;
        self.queue.open_with(&queue_name(at, image), flags, 0o600)?;
        self.queue.sync()
    }

    /// Takes an image off the queue, durably.
    pub(super) fn dequeue(&self, at: u64, image: ImageId) -> io::Result<()> {
        self.queue.remove(&queue_name(at, image))?;
        self.queue.sync()
    }
}

fn queue_name(at: u64, image: ImageId) -> String {
    format!("{at:020}.{image}")
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        // What is no text is nothing of ours.
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}
