//! Writes one image's file.
//!
//! Several blocks are written at the same time, in any order. Aligned blocks are written with
//! O_DIRECT if possible; the tail of the image goes through the page cache. The file is synced
//! before it is published.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::errors::write_error;
use super::folder::ImageFolder;
use crate::error::{Error, Result};
use crate::image::{ImageId, Location};
use crate::store::Writer;
use crate::store::name_taken::name_taken;
use crate::transfer::disk::{Disk, DiskFile};
use crate::transfer::{BLOCK_ALIGNMENT, BLOCK_BYTES, free_bytes};

/// Number of written bytes after which the kernel is asked to start writing them to disk, so that
/// the fsync at the end has little left to do.
const WRITE_BACK_BYTES: u64 = 8 * 1024 * 1024;

/// The parameters of one upload.
#[derive(Clone)]
pub(super) struct FileUpload {
    pub(super) folder: Arc<ImageFolder>,
    pub(super) image: ImageId,
    pub(super) upload_id: Uuid,
    /// Exact permission bits of the file; `None` for those of the umask.
    pub(super) file_mode: Option<u32>,
    /// True if aligned blocks are written with O_DIRECT.
    pub(super) direct: bool,
    pub(super) size_hint_bytes: Option<u64>,
}

/// Writes the file of one upload.
pub(super) struct FileWriter {
    upload: FileUpload,
    disk: Disk,
    /// The file through the page cache, for bytes that O_DIRECT does not accept.
    buffered: DiskFile,
    /// The file with O_DIRECT.
    direct: Option<DiskFile>,
    /// A second handle of the buffered file, to start write-back and set permissions.
    raw: Arc<File>,
    offset: u64,
    written_back: u64,
    writes: JoinSet<io::Result<()>>,
    max_writes: usize,
    finished: bool,
}

impl FileWriter {
    pub(super) async fn begin(upload: FileUpload, disk: Disk, window_bytes: usize) -> Result<Self> {
        let opening = upload.clone();
        let opened = disk.blocking().run(move || opening.open()).await;
        let (buffered, direct) = opened.map_err(|error| upload.refusal(error))?;
        Ok(Self {
            upload,
            raw: Arc::new(buffered.try_clone().map_err(write_error)?),
            buffered: disk.file(buffered),
            direct: direct.map(|file| disk.file(file)),
            disk,
            offset: 0,
            written_back: 0,
            writes: JoinSet::new(),
            max_writes: (window_bytes / BLOCK_BYTES).max(1),
            finished: false,
        })
    }

    /// Returns the handle that accepts these bytes, and true if it is the one with O_DIRECT, which
    /// requires aligned memory, length and offset.
    fn file_for(&self, bytes: &Bytes) -> (DiskFile, bool) {
        let aligned = |number: usize| number.is_multiple_of(BLOCK_ALIGNMENT);
        let fits = aligned(bytes.as_ptr() as usize)
            && aligned(bytes.len())
            && self.offset.is_multiple_of(BLOCK_ALIGNMENT as u64);
        match &self.direct {
            Some(direct) if fits => (direct.clone(), true),
            _ => (self.buffered.clone(), false),
        }
    }

    async fn finish_one(&mut self) -> io::Result<()> {
        match self.writes.join_next().await {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(io::Error::other(error)),
        }
    }

    async fn finish_all(&mut self) -> io::Result<()> {
        while !self.writes.is_empty() {
            self.finish_one().await?;
        }
        Ok(())
    }

    /// Starts to write back what went through the page cache so far.
    fn start_write_back(&mut self) {
        if self.offset - self.written_back < WRITE_BACK_BYTES {
            return;
        }
        let (from, to) = (self.written_back, self.offset);
        self.written_back = to;
        let (file, blocking) = (Arc::clone(&self.raw), self.disk.blocking().clone());
        self.writes.spawn_local(async move {
            let start = move || {
                start_write_back(&file, from, to - from);
                Ok(())
            };
            blocking.run(start).await
        });
    }

    async fn publish(&mut self) -> io::Result<()> {
        self.finish_all().await?;
        if let Some(mode) = self.upload.file_mode {
            // Set last, because the mode may forbid the owner to write.
            self.raw.set_permissions(Permissions::from_mode(mode))?;
        }
        // Both handles are synced, because each reports only write errors that it has not reported
        // yet.
        if let Some(direct) = &self.direct {
            direct.sync().await?;
        }
        self.buffered.sync().await?;
        let upload = self.upload.clone();
        let publish = move || {
            upload
                .folder
                .publish(upload.upload_id, upload.image.as_str())
        };
        self.disk.blocking().run(publish).await
    }

    async fn remove(&mut self) -> io::Result<()> {
        self.finished = true;
        // Writes that are still running only affect a file that has no name any more.
        self.writes.detach_all();
        let upload = self.upload.clone();
        let remove = move || upload.folder.remove_staged(upload.upload_id);
        self.disk.blocking().run(remove).await
    }
}

#[async_trait(?Send)]
impl Writer for FileWriter {
    /// O_DIRECT requires blocks. Without it, copying into a block that is in the CPU cache still
    /// costs less than hashing chunks of uneven sizes.
    fn wants_blocks(&self) -> bool {
        true
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        while self.writes.len() >= self.max_writes {
            self.finish_one().await.map_err(write_error)?;
        }
        let (file, is_direct) = self.file_for(&bytes);
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        self.writes
            .spawn_local(async move { file.write_all_at(bytes, offset).await });
        if is_direct {
            self.written_back = self.offset;
        } else {
            self.start_write_back();
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Location> {
        let published = self.publish().await;
        published.map_err(|error| self.upload.refusal(error))?;
        // Set after success only, so that a failed commit removes the staged file when dropped.
        self.finished = true;
        let uri = self.upload.folder.uri_of(self.upload.image.as_str());
        Location::parse(&uri).map_err(Error::internal)
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.remove().await.map_err(write_error)
    }
}

impl Drop for FileWriter {
    /// Removes the file of an unfinished upload in the background.
    fn drop(&mut self) {
        self.writes.detach_all();
        if !self.finished {
            let upload = self.upload.clone();
            let remove = move || upload.folder.remove_staged(upload.upload_id);
            self.disk.blocking().start(remove);
        }
    }
}

impl FileUpload {
    /// Creates the upload's file if there is space. Blocks.
    fn open(&self) -> io::Result<(File, Option<File>)> {
        if self.folder.has_image(self.image.as_str())? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let buffered = self.folder.create_staged(self.upload_id)?;
        match self.prepare(&buffered) {
            Ok(direct) => Ok((buffered, direct)),
            Err(error) => {
                self.folder.remove_staged(self.upload_id)?;
                Err(error)
            }
        }
    }

    /// Converts the error of a file that cannot be written, or whose image's name is taken.
    fn refusal(&self, error: io::Error) -> Error {
        if error.kind() != io::ErrorKind::AlreadyExists {
            return write_error(error);
        }
        let path = self.folder.path_of(self.image.as_str());
        name_taken("file", self.image.as_str(), &path.display().to_string())
    }

    fn prepare(&self, file: &File) -> io::Result<Option<File>> {
        if let Some(bytes) = self.size_hint_bytes {
            check_space(file, bytes)?;
        }
        if !self.direct {
            return Ok(None);
        }
        self.folder.open_staged_direct(self.upload_id).map(Some)
    }
}

/// Refuses an upload that cannot fit, before its bytes cross the network. The space is not
/// allocated: a client that announces much and sends little must not fill the disk for others.
fn check_space(file: &File, bytes: u64) -> io::Result<()> {
    if bytes > free_bytes(file)? {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

/// Starts write-back without waiting for it. Errors are ignored, because fsync reports them again.
fn start_write_back(file: &File, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (
        libc::off64_t::try_from(offset),
        libc::off64_t::try_from(len),
    ) else {
        return;
    };
    // SAFETY: a valid descriptor and plain integers.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
}
