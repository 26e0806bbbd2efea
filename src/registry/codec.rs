//! Records as bytes, as the embedded registry, its journal and etcd hold them.
//!
//! `format (1 byte) | CRC-32C of the payload (4, little endian) | payload length (4, little
//! endian) | payload`. The payload is JSON. The format is 1 for images that the first release
//! understands, and 2 for the others (see `image/stored.rs`); this release reads both, so
//! records need no migration. A server of the first release refuses format 2 by its number.

use serde::{Deserialize, Serialize};

use super::{Record, Version};
use crate::image::Image;

/// Largest record, in bytes. sled keeps larger values in files of their own, which it never
/// syncs.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;

/// Newest format that this release reads.
const NEWEST_FORMAT: u8 = 2;
const HEADER_BYTES: usize = 9;

/// The reasons why a record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("the record has {0} bytes; at most {MAX_RECORD_BYTES} are allowed")]
    TooLarge(usize),
    #[error("the record has format {format}; this release reads formats 1 to {newest}")]
    UnknownFormat { format: u8, newest: u8 },
    #[error("the record is cut short")]
    Truncated,
    #[error("the record's checksum does not match its bytes")]
    ChecksumMismatch,
    #[error("the record's payload is malformed")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct PayloadRef<'a> {
    version: Version,
    image: &'a Image,
}

#[derive(Deserialize)]
struct Payload {
    version: Version,
    image: Image,
}

pub(super) fn encode(record: &Record) -> Result<Vec<u8>, CodecError> {
    let payload = PayloadRef {
        version: record.version,
        image: &record.image,
    };
    seal(record.image.stored_format(), &payload)
}

/// Encodes a payload in the form that the file header describes.
///
/// # Errors
/// [`CodecError::TooLarge`].
pub(super) fn seal(format: u8, payload: &impl Serialize) -> Result<Vec<u8>, CodecError> {
    let mut bytes = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut bytes, payload)?;
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(CodecError::TooLarge(bytes.len()));
    }
    let crc = crc32c::crc32c(&bytes[HEADER_BYTES..]);
    let length = (bytes.len() - HEADER_BYTES) as u32;
    bytes[0] = format;
    bytes[1..5].copy_from_slice(&crc.to_le_bytes());
    bytes[5..9].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Record, CodecError> {
    let Payload { version, image } = serde_json::from_slice(unseal(bytes, NEWEST_FORMAT)?)?;
    Ok(Record::new(image, version))
}

/// Returns the payload of what [`seal`] has encoded.
///
/// # Errors
/// [`CodecError`] if the bytes are damaged, or of a later format than `newest`.
pub(super) fn unseal(bytes: &[u8], newest: u8) -> Result<&[u8], CodecError> {
    let (header, payload) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(CodecError::Truncated)?;
    let [format, c0, c1, c2, c3, l0, l1, l2, l3] = *header;
    if !(1..=newest).contains(&format) {
        return Err(CodecError::UnknownFormat { format, newest });
    }
    if payload.len() != u32::from_le_bytes([l0, l1, l2, l3]) as usize {
        return Err(CodecError::Truncated);
    }
    if crc32c::crc32c(payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(CodecError::ChecksumMismatch);
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{
        ImageData, ImageId, Location, Member, MemberStatus, Status, Timestamp, Upload, Visibility,
    };

    fn record() -> Record {
        let now = Timestamp::from_micros(1_700_000_000_000_001);
        let mut image = Image::queued(ImageId::random(), now);
        image.name = Some("ü \" \\".to_owned());
        image.status = Status::PendingDelete;
        image.properties.insert("a".into(), None);
        image.members.push(Member::new("tenant", true, now));
        image.data = Some(ImageData::new(
            Location::parse("file:///x").unwrap(),
            u64::MAX,
            None,
        ));
        image.upload = Some(Upload {
            id: uuid::Uuid::new_v4(),
            store: "file".into(),
            started_at: now,
            reserved_bytes: 3,
            node: None,
            process: None,
            on_failure: Default::default(),
        });
        Record::new(image, 7)
    }

    #[test]
    fn encoded_record_is_decoded() {
        let record = record();
        assert_eq!(decode(&encode(&record).unwrap()).unwrap(), record);
    }

    #[test]
    fn any_flipped_bit_is_detected() {
        let bytes = encode(&record()).unwrap();
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            assert!(decode(&damaged).is_err(), "bit of byte {position}");
        }
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode(&[]).is_err());
    }

    #[test]
    fn format_number_follows_the_image() {
        let mut record = record();
        assert_eq!(encode(&record).unwrap()[0], 1);
        record.image.tags.insert("tag".to_owned());
        let bytes = encode(&record).unwrap();
        assert_eq!(bytes[0], 2);
        assert_eq!(decode(&bytes).unwrap(), record);
        let mut later = bytes;
        later[0] = 3;
        let error = decode(&later).expect_err("a format of a later release");
        assert_eq!(
            error.to_string(),
            "the record has format 3; this release reads formats 1 to 2"
        );
    }

    #[test]
    fn record_of_the_first_release_is_read() {
        // Written by glance-api of the first release: a shared image whose deletion waits.
        let bytes = include_bytes!("codec/record_format_1.bin");
        let Record { image, version, .. } = decode(bytes).unwrap();
        assert_eq!((version, image.status), (4, Status::PendingDelete));
        assert_eq!(image.visibility, Visibility::Shared);
        let trashed = image.trashed.expect("a delayed deletion");
        assert_eq!(trashed.members[0].id, "tenant-two");
        assert_eq!(trashed.members[0].status, MemberStatus::Pending);
        assert!(image.data.is_some() && image.unknown.is_empty());
    }

    #[test]
    fn fields_of_a_newer_release_survive() {
        let record = record();
        let bytes = encode(&record).unwrap();
        let mut payload: serde_json::Value =
            serde_json::from_slice(&bytes[HEADER_BYTES..]).unwrap();
        payload["image"]["from_later"] = true.into();
        payload["image"]["also_later"] = serde_json::json!(["a", {"b": 1}]);
        let payload = serde_json::to_vec(&payload).unwrap();
        let mut newer = vec![1];
        newer.extend(crc32c::crc32c(&payload).to_le_bytes());
        newer.extend((payload.len() as u32).to_le_bytes());
        newer.extend(payload);
        let mut read = decode(&newer).unwrap();
        assert_eq!(read.image.name, record.image.name);
        // A change of a known field must keep the unknown ones.
        read.image.name = None;
        let written = decode(&encode(&read).unwrap()).unwrap();
        assert_eq!(written.image.unknown["from_later"], true);
        assert_eq!(written.image.unknown["also_later"][1]["b"], 1);
    }

    #[test]
    fn record_above_the_size_limit_is_refused() {
        let mut record = record();
        let value = "x".repeat(MAX_RECORD_BYTES);
        record.image.properties.insert("b".into(), Some(value));
        assert!(matches!(encode(&record), Err(CodecError::TooLarge(_))));
    }
}
