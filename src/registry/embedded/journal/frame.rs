//! The frame of one item in the journal.
//!
//! `CRC-32C of the body (4) | body length (4) | body`, with the body `version (8) | key length (1)
//! | key | item`, numbers little endian. The key is the identifier of an image or `kind/id` of a
//! document ([`Key`]); the item is encoded by [`codec`](super::super::super::codec) or
//! [`documents`](super::super::super::documents). An empty item is a tombstone: the item was
//! removed. Key and version are outside the item, so that the newest frame of each key is found
//! without decoding any item.

use std::collections::HashMap;

use super::super::super::Version;
use super::super::super::codec::MAX_RECORD_BYTES;
use super::super::key::Key;

const HEADER_BYTES: usize = 8;
const FIXED_BYTES: usize = 9;

/// Removed items and the versions of their tombstones, kept as long as sled may still have them.
pub(in crate::registry::embedded) type Purged = HashMap<Key, Version>;

/// Upper bound of the length of a frame.
pub(super) const MAX_FRAME_BYTES: usize = HEADER_BYTES + FIXED_BYTES + 255 + MAX_RECORD_BYTES;

/// The result of parsing the bytes at one offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A complete frame.
    Whole {
        key: Key,
        version: Version,
        frame_bytes: usize,
        /// Offset of the item in the frame.
        item_at: usize,
    },
    /// Possibly the beginning of a frame.
    Cut,
    /// No frame.
    Bad,
}

/// Appends the frame of an item to `out`.
pub(in super::super) fn push(out: &mut Vec<u8>, key: &Key, version: Version, item: &[u8]) {
    let start = out.len();
    let key = key.to_string();
    let key = key.as_bytes();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.extend_from_slice(&version.to_le_bytes());
    // An identifier has 36 bytes; the key of a document has at most 161.
    out.push(key.len() as u8);
    out.extend_from_slice(key);
    out.extend_from_slice(item);
    let body = start + HEADER_BYTES;
    let crc = crc32c::crc32c(&out[body..]);
    // An item has at most 64 KiB.
    let len = (out.len() - body) as u32;
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    out[start + 4..body].copy_from_slice(&len.to_le_bytes());
}

/// Parses the frame at the beginning of these bytes.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Parsed::Cut;
    };
    let [c0, c1, c2, c3, l0, l1, l2, l3] = *header;
    let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if !(FIXED_BYTES..=MAX_FRAME_BYTES - HEADER_BYTES).contains(&len) {
        return Parsed::Bad;
    }
    let Some(body) = rest.get(..len) else {
        return Parsed::Cut;
    };
    if crc32c::crc32c(body) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Parsed::Bad;
    }
    parse_body(body).unwrap_or(Parsed::Bad)
}

fn parse_body(body: &[u8]) -> Option<Parsed> {
    let (version, rest) = body.split_first_chunk::<8>()?;
    let (key_len, rest) = rest.split_first()?;
    let key = rest.get(..usize::from(*key_len))?;
    Some(Parsed::Whole {
        key: Key::parse(std::str::from_utf8(key).ok()?)?,
        version: Version::from_le_bytes(*version),
        frame_bytes: HEADER_BYTES + body.len(),
        item_at: HEADER_BYTES + FIXED_BYTES + key.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::super::documents::DocumentKey;
    use super::*;
    use crate::image::ImageId;

    #[test]
    fn damaged_or_cut_frame_is_not_parsed() {
        let document = DocumentKey::new("task", "a/b").unwrap();
        for key in [Key::Image(ImageId::random()), Key::Document(document)] {
            let mut bytes = Vec::new();
            push(&mut bytes, &key, 7, b"record");
            let Parsed::Whole {
                key: found,
                version,
                frame_bytes,
                item_at,
            } = parse(&bytes)
            else {
                panic!("{:?}", parse(&bytes));
            };
            assert_eq!((found, version, frame_bytes), (key, 7, bytes.len()));
            assert_eq!(&bytes[item_at..], b"record");
            for position in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[position] ^= 0x10;
                let parsed = parse(&damaged);
                assert!(!matches!(parsed, Parsed::Whole { .. }), "byte {position}");
                let cut = parse(&bytes[..position]);
                assert!(!matches!(cut, Parsed::Whole { .. }), "{position} bytes");
            }
        }
    }
}
