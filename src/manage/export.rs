//! The command `export`: writes a dump.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::dump::DumpWriter;
use super::error::ManageError;
use super::records::Records;
use crate::console::print_error;
use crate::image::Image;
use crate::registry::Document;

/// A file that appears under its name when it is complete and synced. Until then it is a temporary
/// file (mode 0600), which is removed if the export fails.
struct NewFile {
    dump: DumpWriter<BufWriter<NamedTempFile>>,
    path: PathBuf,
    replaces: bool,
}

/// Writes all records to a file. Returns the number of images.
///
/// # Errors
/// [`ManageError::Unreadable`] when records are missing in the dump, which is written all the same.
pub(super) async fn export(
    records: &Records,
    path: &Path,
    replaces: bool,
) -> Result<u64, ManageError> {
    let documents = records.documents().await?;
    let mut file = NewFile::begin(path, replaces, !documents.is_empty())?;
    records.each(|image| file.image(image)).await?;
    for document in &documents {
        file.document(document)?;
    }
    let images = file.end()?;
    match records.unreadable() {
        unreadable if unreadable.is_empty() => Ok(images),
        unreadable => {
            for id in &unreadable {
                print_error(format_args!(
                    "image {id}: its record cannot be read and is missing in the dump"
                ));
            }
            Err(ManageError::Unreadable(unreadable))
        }
    }
}

impl NewFile {
    fn begin(path: &Path, replaces: bool, has_documents: bool) -> Result<Self, ManageError> {
        if !replaces && path.symlink_metadata().is_ok() {
            return Err(ManageError::Exists(path.to_owned()));
        }
        let begun = || {
            let temporary = tempfile::Builder::new()
                .prefix(".glance-manage-")
                .suffix(".part")
                .tempfile_in(folder_of(path))?;
            DumpWriter::begin(BufWriter::new(temporary), has_documents)
        };
        Ok(Self {
            dump: begun().map_err(|cause| cannot_write(path, cause))?,
            path: path.to_owned(),
            replaces,
        })
    }

    fn image(&mut self, image: &Image) -> Result<(), ManageError> {
        let written = self.dump.image(image);
        written.map_err(|cause| cannot_write(&self.path, cause))
    }

    fn document(&mut self, document: &Document) -> Result<(), ManageError> {
        let written = self.dump.document(document);
        written.map_err(|cause| cannot_write(&self.path, cause))
    }

    /// Renames the file to its name, durably. Returns the number of images.
    fn end(self) -> Result<u64, ManageError> {
        let Self {
            dump,
            path,
            replaces,
        } = self;
        let ended = || {
            let (images, out) = dump.end()?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            // Before the rename: after a power failure the name must not lead to a partial file.
            file.as_file().sync_all()?;
            match replaces {
                true => file.persist(&path)?,
                false => file.persist_noclobber(&path)?,
            };
            File::open(folder_of(&path))?.sync_all()?;
            Ok(images)
        };
        ended().map_err(|cause: io::Error| match cause.kind() {
            io::ErrorKind::AlreadyExists => ManageError::Exists(path.clone()),
            _ => cannot_write(&path, cause),
        })
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn cannot_write(path: &Path, cause: io::Error) -> ManageError {
    ManageError::Write {
        file: path.to_owned(),
        cause,
    }
}
