//! MD5, as Glance's checksums need it; the one place of the room that names its source.

use md5::{Digest, Md5};

use crate::image::Md5Digest;

/// An MD5 under way.
#[derive(Clone, Default)]
pub(super) struct RunningMd5(Md5);

impl RunningMd5 {
    /// Adds bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added.
    pub(super) fn finish(self) -> Md5Digest {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Checksum;

    #[test]
    fn the_examples_of_rfc_1321() {
        let mut md5 = RunningMd5::default();
        assert_eq!(
            Checksum::of(&md5.clone().finish()).as_str(),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
        md5.update(b"message ");
        md5.update(b"digest");
        assert_eq!(
            Checksum::of(&md5.finish()).as_str(),
            "f96b697d7cb7938d525a2f31aaf161d0"
        );
    }
}
