//! The file store: one file an image, named by the image's identifier.
//!
//! An upload is written to `.staging/<upload>` and renamed when it is whole and synced, so
//! that a file under an image's name is always complete. A file that has an image's name
//! already is never replaced, and is removed only by the upload that wrote it or by the
//! record that names it.

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

/// The schemes, the store's name first.
pub(super) const SCHEMES: &[&str] = &["file", "filesystem"];

/// Files up to this are read at once: cheaper than preparing sendfile for them.
const READ_WHOLE_BYTES: u64 = 16 * 1024;

/// The file store cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the image folder {} cannot be used: {cause}", folder.display())]
pub struct FileStoreError {
    folder: PathBuf,
    #[source]
    cause: io::Error,
}

/// Images as files in a folder.
pub struct FileStore {
    folder: Arc<ImageFolder>,
    disk: Disk,
    writes_direct: bool,
    links_names: bool,
    options: FileStoreOptions,
}

impl FileStore {
    /// Opens the folder, makes it if need be, and tries whether it can be written in the
    /// way the options ask for.
    ///
    /// # Errors
    /// [`FileStoreError`] with the folder and what the system said.
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
                "its file system takes no direct writes; set filesystem_store_io to auto or buffered",
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

    /// Whether image data go past the page cache when they are written.
    pub fn writes_direct(&self) -> bool {
        self.writes_direct
    }

    /// Whether images get their names by link(2), since the file system cannot rename without
    /// replacing.
    pub fn links_names(&self) -> bool {
        self.links_names
    }

    /// Opens an image's file, on another thread if opening or asking for its length may wait.
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

    /// The name in the folder that a location stands for.
    fn name_of(&self, location: &Location) -> Result<String> {
        let name = self.folder.name_of(location.expose_rest());
        name.map(str::to_owned).ok_or_else(|| {
            Error::internal(format!(
                "a {location:?} location is not in the folder {}",
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

    async fn open(&self, location: &Location, wanted: ObjectRange) -> Result<Payload> {
        let opened = self.open_file(&self.name_of(location)?).await;
        let (file, metadata) = opened.map_err(open_error)?;
        let file = Arc::new(file);
        if !metadata.is_file() || metadata.len() != wanted.object_bytes {
            return Err(Error::internal(format!(
                "the image's file has {} bytes where the registry has {}",
                metadata.len(),
                wanted.object_bytes
            )));
        }
        let slice = FileSlice {
            file,
            offset: wanted.offset,
            len: wanted.len,
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

    async fn discard_entry(&self, of: &StoredKey) -> Result<()> {
        let of = *of;
        let remove = move |folder: &ImageFolder| match of {
            StoredKey::Image(image) => folder.remove_image(image.as_str()),
            StoredKey::Upload(upload) => folder.remove_staged(upload),
        };
        self.remove(remove).await
    }
}

impl FileStore {
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
