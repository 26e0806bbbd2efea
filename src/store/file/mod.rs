//! The file store: one file per image, named by the image's identifier.
//!
//! An upload writes to `.staging/<upload>`; the file is synced and renamed once it is complete, so
//! a file with an image's name is always complete. An existing file with an image's name is never
//! replaced. Only the upload that wrote it, or the deletion of the image that refers to it, removes
//! it.

mod errors;
mod folder;
mod options;
mod writer;

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::errors::{open_error, write_error};
use self::folder::ImageFolder;
pub use self::folder::file_name_in;
pub use self::options::{FileIo, FileStoreOptions};
use self::writer::{FileUpload, FileWriter};
use super::{ObjectRange, Store, StoredEntry, StoredKey, Writer};
use crate::error::{Error, Result};
use crate::image::{ImageId, Location, Upload};
use crate::transfer::disk::Disk;
use crate::transfer::{FileSlice, Payload};

/// The location schemes; the first one is the store's name.
pub(super) const SCHEMES: &[&str] = &["file", "filesystem"];

/// Ranges up to this size are read into memory, which is cheaper than sendfile for them.
const READ_WHOLE_BYTES: u64 = 16 * 1024;

/// The file store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the image folder {}: {cause}", folder.display())]
pub struct FileStoreError {
    folder: PathBuf,
    #[source]
    cause: io::Error,
}

/// Stores images as files in a folder.
pub struct FileStore {
    folder: Arc<ImageFolder>,
    disk: Disk,
    writes_direct: bool,
    links_names: bool,
    options: FileStoreOptions,
}

impl FileStore {
    /// Opens the folder, creates it if necessary, and probes which features its file system has.
    ///
    /// # Errors
    /// [`FileStoreError`] if the folder cannot be used, or does not support the I/O mode of the
    /// options.
    pub fn open(
        options: FileStoreOptions,
        disk: Disk,
    ) -> std::result::Result<Self, FileStoreError> {
        let failed = |cause| FileStoreError {
            folder: options.folder.clone(),
            cause,
        };
        let folder = ImageFolder::open(&options.folder).map_err(failed)?;
        let features = folder.probe().map_err(failed)?;
        if options.io == FileIo::Direct && features.direct == Some(false) {
            return Err(failed(io::Error::new(
                io::ErrorKind::Unsupported,
                "its file system does not support direct writes; set filesystem_store_io to auto or buffered",
            )));
        }
        Ok(Self {
            folder: Arc::new(folder),
            disk,
            links_names: !features.rename,
            // Writing through the page cache works on every file system.
            writes_direct: features.direct.unwrap_or(options.io == FileIo::Direct)
                && options.io != FileIo::Buffered,
            options,
        })
    }

    /// Returns true if image data are written with O_DIRECT, past the page cache.
    pub fn writes_direct(&self) -> bool {
        self.writes_direct
    }

    /// Returns true if files are published with link(2), because the file system does not support
    /// renaming without replacement.
    pub fn links_names(&self) -> bool {
        self.links_names
    }

    /// Opens an image's file, on another thread if opening it may have to wait for the disk.
    async fn open_file(&self, name: &str) -> io::Result<(File, Metadata)> {
        let with_metadata = |file: File| file.metadata().map(|metadata| (file, metadata));
        match self.folder.open_cached(name) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let (folder, name) = (Arc::clone(&self.folder), name.to_owned());
                let open = move || folder.open_image(&name).and_then(with_metadata);
                self.disk.blocking().run(open).await
            }
            opened => opened.and_then(with_metadata),
        }
    }

    /// Returns the name of a location's file in the folder.
    fn name_of(&self, location: &Location) -> Result<String> {
        let name = self.folder.name_of(location.expose_rest());
        name.map(str::to_owned).ok_or_else(|| {
            Error::internal(format!(
                "a {location:?} location is not in the image folder {}",
                self.options.folder.display()
            ))
        })
    }

    async fn remove(
        &self,
        remove: impl FnOnce(&ImageFolder) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let folder = Arc::clone(&self.folder);
        let removed = self.disk.blocking().run(move || remove(&folder)).await;
        removed.map_err(write_error)
    }
}

#[async_trait(?Send)]
impl Store for FileStore {
    fn schemes(&self) -> &'static [&'static str] {
        SCHEMES
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn open(&self, location: &Location, range: ObjectRange) -> Result<Payload> {
        let opened = self.open_file(&self.name_of(location)?).await;
        let (file, metadata) = opened.map_err(open_error)?;
        let file = Arc::new(file);
        if !metadata.is_file() || metadata.len() != range.object_bytes {
            return Err(Error::internal(format!(
                "the image's file has {} bytes where the registry has {}",
                metadata.len(),
                range.object_bytes
            )));
        }
        let slice = FileSlice {
            file,
            offset: range.offset,
            len: range.len,
        };
        if slice.len <= READ_WHOLE_BYTES {
            return self.read_whole(slice).await;
        }
        Ok(Payload::File(slice))
    }

    async fn size(&self, location: &Location) -> Result<u64> {
        let opened = self.open_file(&self.name_of(location)?).await;
        let (_, metadata) = opened.map_err(open_error)?;
        Ok(metadata.len())
    }

    async fn create(
        &self,
        image: &ImageId,
        upload: &Upload,
        size_hint_bytes: Option<u64>,
    ) -> Result<Box<dyn Writer>> {
        let upload = FileUpload {
            folder: Arc::clone(&self.folder),
            image: image.to_lower(),
            upload_id: upload.id,
            file_mode: self.options.file_mode,
            direct: self.writes_direct,
            size_hint_bytes,
        };
        let window_bytes = self.options.window_bytes;
        let writer = FileWriter::begin(upload, self.disk.clone(), window_bytes).await;
        Ok(Box::new(writer?))
    }

    async fn delete(&self, location: &Location) -> Result<()> {
        let name = self.name_of(location)?;
        self.remove(move |folder| folder.remove_image(&name)).await
    }

    async fn discard(&self, image: &ImageId, upload: &Upload) -> Result<()> {
        let (image, upload) = (image.to_lower(), upload.clone());
        let discard = move |folder: &ImageFolder| folder.discard(image.as_str(), &upload);
        self.remove(discard).await
    }

    async fn list_entries(&self) -> Result<Option<Vec<StoredEntry>>> {
        let folder = Arc::clone(&self.folder);
        let stored = self
            .disk
            .blocking()
            .run(move || folder.list_entries())
            .await;
        stored.map(Some).map_err(open_error)
    }

    async fn discard_entry(&self, key: &StoredKey) -> Result<()> {
        let key = *key;
        let remove = move |folder: &ImageFolder| match key {
            StoredKey::Image(image) => folder.remove_image(image.as_str()),
            StoredKey::Upload(upload) => folder.remove_staged(upload),
        };
        self.remove(remove).await
    }
}

impl FileStore {
    /// Reads a short range into memory.
    async fn read_whole(&self, slice: FileSlice) -> Result<Payload> {
        let read = move || {
            let mut bytes = vec![0; slice.len as usize];
            slice.file.read_exact_at(&mut bytes, slice.offset)?;
            Ok(Bytes::from(bytes))
        };
        let bytes = self.disk.blocking().run(read).await.map_err(open_error)?;
        Ok(Payload::Bytes(bytes))
    }
}

#[cfg(test)]
mod tests;
