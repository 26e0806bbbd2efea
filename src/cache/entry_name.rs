//! The names of cached files, which describe their contents.
//!
//! A name is `<image id>,<size in bytes>,<mtime in ns>,<MD5>`. A restart compares size and time
//! with the file's own and need not read the file. The name is the only record of the image, so it
//! cannot disagree with another one.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use crate::image::{Checksum, ImageId, Md5Digest};

/// The name of a cached file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryName {
    pub(super) image: ImageId,
    pub(super) size_bytes: u64,
    /// Modification time of the file, in nanoseconds since the epoch.
    pub(super) written_ns: i128,
    /// MD5 of the bytes that were read back from the file.
    pub(super) digest: Md5Digest,
}

impl EntryName {
    /// Parses a file name. Returns `None` if it is not one that this type writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let mut part = || parts.next();
        let name = Self {
            image: part()?.parse().ok()?,
            size_bytes: part()?.parse().ok()?,
            written_ns: part()?.parse().ok()?,
            digest: Checksum::stated(part()?)?.digest()?,
        };
        // Other spellings ("+7", upper case) are refused, so that no two names are equal.
        (name.to_string() == text).then_some(name)
    }

    /// Returns true if a file has the size and time that its name states.
    pub(super) fn fits(&self, file: &Metadata) -> bool {
        file.is_file() && file.len() == self.size_bytes && written_ns(file) == self.written_ns
    }
}

impl std::fmt::Display for EntryName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            image,
            size_bytes,
            written_ns,
            digest,
        } = self;
        write!(
            f,
            "{image},{size_bytes},{written_ns},{}",
            Checksum::of(digest)
        )
    }
}

/// Returns the modification time of a file, in nanoseconds since the epoch.
pub(super) fn written_ns(file: &Metadata) -> i128 {
    i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_only_in_their_own_spelling() {
        let name = EntryName {
            image: ImageId::random(),
            size_bytes: 7,
            written_ns: 1_700_000_000_123_456_789,
            digest: [0xa5; 16],
        };
        assert_eq!(EntryName::parse(&name.to_string()), Some(name.clone()));
        for other in [
            "README",
            "lost+found",
            &name.image.to_string(),
            &format!("{name},"),
            &format!("{name},x"),
            &name.to_string().to_uppercase(),
            &name.to_string().replace(",7,", ",+7,"),
        ] {
            assert_eq!(EntryName::parse(other), None, "{other}");
        }
    }
}
