//! The stored form of a document, in files and in etcd: that of an image's record
//! ([`codec`](super::super::codec)), with the document as payload and a format number of its own.

use super::super::codec::{CodecError, seal, unseal};
use super::Document;

const FORMAT: u8 = 1;

/// Encodes a document.
///
/// # Errors
/// [`CodecError::TooLarge`].
pub(in crate::registry) fn encode(document: &Document) -> Result<Vec<u8>, CodecError> {
    seal(FORMAT, document)
}

/// Decodes what [`encode`] has written.
///
/// # Errors
/// [`CodecError`] if the bytes are damaged or of a later format.
pub(in crate::registry) fn decode(bytes: &[u8]) -> Result<Document, CodecError> {
    Ok(serde_json::from_slice(unseal(bytes, FORMAT)?)?)
}

#[cfg(test)]
mod tests {
    use super::super::{DocumentKey, MAX_DOCUMENT_BODY_BYTES, MAX_OWNER_BYTES};
    use super::*;
    use crate::image::Timestamp;

    #[test]
    fn every_flipped_bit_is_detected() {
        let key = DocumentKey::new("task", "7").unwrap();
        let mut document = Document::new(key, Timestamp::from_micros(5), b"\0\xffbody".to_vec());
        document.owner = Some("a".to_owned());
        let bytes = encode(&document).unwrap();
        assert_eq!(decode(&bytes).unwrap(), document);
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            assert!(decode(&damaged).is_err(), "bit of byte {position}");
        }
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn the_largest_document_can_be_encoded() {
        // Quotation marks are the longest in JSON.
        let key = DocumentKey::new("x".repeat(32), "\"".repeat(128)).unwrap();
        let body = vec![0xff; MAX_DOCUMENT_BODY_BYTES];
        let mut document = Document::new(key, Timestamp::from_micros(i64::MAX), body);
        document.owner = Some("\u{1}".repeat(MAX_OWNER_BYTES));
        document.version = u64::MAX;
        document.check_size().unwrap();
        encode(&document).unwrap();
        document.body.push(0);
        assert!(document.check_size().is_err());
    }
}
