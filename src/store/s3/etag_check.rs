//! Compares the MD5 that S3 reports with that of the sent bytes.
//!
//! The ETag of a part, and of an object that was sent in one request, is the MD5 of the bytes that
//! S3 received, unless it is encrypted with keys of KMS. The comparison detects bytes that changed
//! on the network or in a proxy before the image is acknowledged.

use aws_sdk_s3::types::ServerSideEncryption;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::s3_error::S3Error;
use crate::image::Checksum;
use crate::md5::{DIGEST_BYTES, DigestLost, HashEngine, Md5Stream};

/// The MD5 that S3 reports; `None` inside if the ETag is not an MD5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReceivedMd5(Option<String>);

/// Computes the MD5 of a part while it arrives.
pub(super) struct PartHash {
    stream: Md5Stream,
    digest: oneshot::Sender<Digest>,
}

/// The MD5 of a part, once it has arrived completely.
pub(super) struct ExpectedMd5(oneshot::Receiver<Digest>);

type Digest = Result<[u8; DIGEST_BYTES], DigestLost>;

impl PartHash {
    /// Starts the hash of a part. The second value receives its result.
    pub(super) fn new(hashes: &HashEngine) -> (Self, ExpectedMd5) {
        let (digest, expected) = oneshot::channel();
        let stream = hashes.stream();
        (Self { stream, digest }, ExpectedMd5(expected))
    }

    /// Adds the next bytes.
    pub(super) async fn push(&mut self, chunk: Bytes) {
        self.stream.push(chunk).await;
    }

    /// Ends the hash in the background, since the last bytes may wait for a hash thread.
    pub(super) fn end(self) {
        let Self { stream, digest } = self;
        tokio::task::spawn_local(async move {
            // The receiver is gone if the part has failed.
            let _ = digest.send(stream.finish().await);
        });
    }
}

impl ReceivedMd5 {
    /// Reads the ETag of a response.
    pub(super) fn of(e_tag: Option<&str>, encryption: Option<&ServerSideEncryption>) -> Self {
        let is_with_kms = matches!(
            encryption,
            Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
        );
        let e_tag = e_tag.filter(|_| !is_with_kms);
        let md5 = e_tag.map(|e_tag| e_tag.trim_matches('"').to_ascii_lowercase());
        Self(md5.filter(|md5| md5.len() == 2 * DIGEST_BYTES && is_hexadecimal(md5)))
    }

    /// Compares the MD5 with that of the sent bytes.
    pub(super) fn compare(&self, operation: &'static str, sent: &Checksum) -> Result<(), S3Error> {
        match &self.0 {
            Some(received) if received != sent.as_str() => {
                let detail = format!(
                    "S3 received MD5 {received}, but {sent} was sent; if this service's ETags are not \
                     MD5s, set s3_store_verify_uploads to false"
                );
                Err(S3Error::unexpected(operation, detail))
            }
            _ => Ok(()),
        }
    }

    /// Compares the MD5 with that of a part.
    pub(super) async fn compare_part(
        &self,
        operation: &'static str,
        expected: ExpectedMd5,
    ) -> Result<(), S3Error> {
        if self.0.is_none() {
            return Ok(());
        }
        let Ok(digest) = expected.0.await else {
            return Err(S3Error::unexpected(operation, "the upload was given up"));
        };
        let digest = digest.map_err(|lost| S3Error::no_response(operation, &lost))?;
        self.compare(operation, &Checksum::of(&digest))
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "900150983cd24fb0d6963f7d28e17f72";

    fn compare(e_tag: &str, encryption: Option<ServerSideEncryption>) -> bool {
        let sent = Checksum::stated(SENT).unwrap();
        let received = ReceivedMd5::of(Some(e_tag), encryption.as_ref());
        received.compare("PutObject", &sent).is_ok()
    }

    #[test]
    fn a_wrong_md5_is_an_error() {
        for right in [
            SENT.to_owned(),
            format!("\"{}\"", SENT.to_ascii_uppercase()),
        ] {
            assert!(compare(&right, None), "{right}");
        }
        let wrong = SENT.replace('9', "8");
        assert!(!compare(&wrong, None));
        assert!(!compare(&wrong, Some(ServerSideEncryption::Aes256)));
    }

    #[test]
    fn etags_that_are_not_md5_are_not_compared() {
        let wrong = SENT.replace('9', "8");
        assert!(compare(&wrong, Some(ServerSideEncryption::AwsKms)));
        for other in ["", "x", &format!("{wrong}-2"), &SENT.replace('9', "g")] {
            assert!(compare(other, None), "{other}");
        }
    }

    #[tokio::test]
    async fn a_cancelled_part_is_not_waited_for() {
        let hashes = HashEngine::start(1).unwrap();
        let (hash, expected) = PartHash::new(&hashes);
        drop(hash);
        let received = ReceivedMd5::of(Some(SENT), None);
        assert!(received.compare_part("UploadPart", expected).await.is_err());
    }
}
