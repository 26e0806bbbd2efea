//! Reading the journal of a registry that another process has open.

use std::fs::File;
use std::io;
use std::path::Path;

use super::FILE;
use super::scan::{FrameLocation, scan};
use crate::image::{Image, ImageId};

/// The records in the journal of an embedded registry at one moment. Another process may have
/// the registry open and go on writing. Nothing is changed here.
pub struct JournalReader {
    file: File,
    newest: Vec<(ImageId, FrameLocation)>,
}

impl JournalReader {
    /// Finds the newest record of each image.
    ///
    /// # Errors
    /// Those of the file system; `InvalidData` when a part of the journal cannot be read, since
    /// the records there may have been the newest.
    pub fn read(folder: &Path) -> io::Result<Self> {
        // A file that is put in its place meanwhile has the same records.
        let file = File::open(folder.join(FILE))?;
        let contents = scan(&file)?;
        if contents.is_damaged() {
            let bytes = contents.damaged_bytes;
            let reason = format!("{bytes} bytes of it are damaged");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let newest = contents.newest.into_iter();
        let mut newest: Vec<_> = newest
            .filter(|(_, location)| !location.is_purged())
            .collect();
        newest.sort_unstable_by_key(|(id, _)| *id);
        Ok(Self { file, newest })
    }

    /// The images, deleted ones too, by identifier.
    pub fn images(&self) -> impl Iterator<Item = io::Result<Image>> {
        let read =
            |(_, location): &(ImageId, FrameLocation)| Ok(location.read(&self.file)?.0.image);
        self.newest.iter().map(read)
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
    fn it_reads_beside_the_one_who_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path(), 0).unwrap();
        let mut frames = Vec::new();
        let images = [image("one"), image("two")];
        for (version, image) in [(1, &images[0]), (1, &images[1]), (2, &images[1])] {
            let mut image = image.clone();
            image.min_disk_gb = version;
            let record = Arc::new(Record::new(image, version.into()));
            let bytes = codec::encode(&record).unwrap();
            push(&mut frames, &record.image.id, record.version, &bytes);
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
