//! What the name of a cached file says of it.
//!
//! `<image id>,<bytes>,<mtime in ns>,<MD5>`: a start compares length and time with the file's
//! own and needs to read none of it; there is no second file that could say something else.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use crate::image::{Checksum, ImageId, Md5Digest};

/// One kept image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryName {
    pub(super) image: ImageId,
    pub(super) size_bytes: u64,
    /// When its last byte was written, in nanoseconds since the epoch.
    pub(super) written_ns: i128,
    /// Of its bytes, as they were read back from the file.
    pub(super) digest: Md5Digest,
}

impl EntryName {
    /// What a file name says; `None` when it is no kept image's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let mut part = || parts.next();
        let name = Self {
            image: part()?.parse().ok()?,
            size_bytes: part()?.parse().ok()?,
            written_ns: part()?.parse().ok()?,
            digest: Checksum::stated(part()?)?.digest()?,
        };
        // Exactly as it is written, so that one image has one name.
        (name.to_string() == text).then_some(name)
    }

    /// Whether the file is as it was when it got its name.
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

/// When a file was written last, in nanoseconds since the epoch.
pub(super) fn written_ns(file: &Metadata) -> i128 {
    i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_was_made_of() {
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
