//! Reads the journal of a registry that another process has open.

use std::fs::File;
use std::io;
use std::path::Path;

use super::super::super::documents::{Document, DocumentKey};
use super::super::key::Key;
use super::FILE;
use super::scan::{FrameLocation, scan};
use crate::image::{Image, ImageId};

/// The items in the journal of an embedded registry at one moment. Another process may have the
/// registry open and continue to write. Nothing is changed by reading.
pub struct JournalReader {
    file: File,
    images: Vec<(ImageId, FrameLocation)>,
    documents: Vec<(DocumentKey, FrameLocation)>,
}

impl JournalReader {
    /// Finds the newest frame of each item.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` if a part of the journal is damaged, because the
    /// frames there may have been the newest.
    pub fn read(folder: &Path) -> io::Result<Self> {
        // If a compaction replaces the file now, the open file still has the same items.
        let file = File::open(folder.join(FILE))?;
        let contents = scan(&file)?;
        if contents.is_damaged() {
            let bytes = contents.damaged_bytes;
            let reason = format!("{bytes} bytes of it are damaged");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let (mut images, mut documents) = (Vec::new(), Vec::new());
        for (key, location) in contents.newest {
            match key {
                _ if location.is_purged() => {}
                Key::Image(id) => images.push((id, location)),
                Key::Document(key) => documents.push((key, location)),
            }
        }
        images.sort_unstable_by_key(|(id, _)| *id);
        documents.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self {
            file,
            images,
            documents,
        })
    }

    /// Returns the images, including deleted ones, in the order of their identifiers.
    pub fn images(&self) -> impl Iterator<Item = io::Result<Image>> {
        let read =
            |(_, location): &(ImageId, FrameLocation)| Ok(location.read_record(&self.file)?.image);
        self.images.iter().map(read)
    }

    /// Returns the documents in the order of their keys.
    pub fn documents(&self) -> impl Iterator<Item = io::Result<Document>> {
        let locations = self.documents.iter();
        locations.map(|(_, location)| location.read_document(&self.file))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;

    use super::super::super::super::conformance::image;
    use super::super::super::super::{Record, codec};
    use super::super::{Journal, push};
    use super::*;

    #[test]
    fn journal_of_another_process_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path(), 0).unwrap();
        let mut frames = Vec::new();
        let images = [image("one"), image("two")];
        for (version, image) in [(1, &images[0]), (1, &images[1]), (2, &images[1])] {
            let mut image = image.clone();
            image.min_disk_gb = version;
            let record = Arc::new(Record::new(image, version.into()));
            let bytes = codec::encode(&record).unwrap();
            push(
                &mut frames,
                &Key::Image(record.image.id),
                record.version,
                &bytes,
            );
        }
        journal.append(&frames).unwrap();
        let read = JournalReader::read(folder.path()).unwrap();
        let read: Vec<Image> = read.images().map(Result::unwrap).collect();
        assert_eq!(read.len(), 2);
        assert!(read.is_sorted_by_key(|image| image.id));
        let second = read.iter().find(|image| image.id == images[1].id);
        assert_eq!(second.map(|image| image.min_disk_gb), Some(2));

        let file = File::options()
            .write(true)
            .open(folder.path().join(FILE))
            .unwrap();
        file.write_all_at(b"x", 20).unwrap();
        let refused = JournalReader::read(folder.path()).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
