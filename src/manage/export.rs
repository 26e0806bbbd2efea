//! Writing a dump.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::dump::DumpWriter;
use super::failure::Failure;
use super::records::Records;
use crate::image::Image;
use crate::registry::Document;

/// A file that has its name when it is whole and on the disk, and nothing of which is left
/// when it never is. Nobody but its owner can read it (mode 0600).
struct NewFile {
    dump: DumpWriter<BufWriter<NamedTempFile>>,
    path: PathBuf,
    replaces: bool,
}

/// Dumps all records. How many images there are.
pub(super) async fn export(records: &Records, path: &Path, replaces: bool) -> Result<u64, Failure> {
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
                eprintln!("image {id}: its record cannot be read and is not in the dump");
            }
            Err(Failure::Unreadable(unreadable))
        }
    }
}

impl NewFile {
    fn begin(path: &Path, replaces: bool, has_documents: bool) -> Result<Self, Failure> {
        if !replaces && path.symlink_metadata().is_ok() {
            return Err(Failure::IsThere(path.to_owned()));
        }
        let begun = || {
            let beside = tempfile::Builder::new()
                .prefix(".glance-manage-")
                .suffix(".part")
                .tempfile_in(folder_of(path))?;
            DumpWriter::begin(BufWriter::new(beside), has_documents)
        };
        Ok(Self {
            dump: begun().map_err(|cause| cannot_write(path, cause))?,
            path: path.to_owned(),
            replaces,
        })
    }

    fn image(&mut self, image: &Image) -> Result<(), Failure> {
        let written = self.dump.image(image);
        written.map_err(|cause| cannot_write(&self.path, cause))
    }

    fn document(&mut self, document: &Document) -> Result<(), Failure> {
        let written = self.dump.document(document);
        written.map_err(|cause| cannot_write(&self.path, cause))
    }

    /// Gives it its name, durably. How many images it has.
    fn end(self) -> Result<u64, Failure> {
        let Self {
            dump,
            path,
            replaces,
        } = self;
        let ended = || {
            let (images, out) = dump.end()?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            match replaces {
                true => file.persist(&path)?,
                false => file.persist_noclobber(&path)?,
            };
            File::open(folder_of(&path))?.sync_all()?;
            Ok(images)
        };
        ended().map_err(|cause: io::Error| match cause.kind() {
            io::ErrorKind::AlreadyExists => Failure::IsThere(path.clone()),
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

fn cannot_write(path: &Path, cause: io::Error) -> Failure {
    Failure::Write {
        file: path.to_owned(),
        cause,
    }
}
