//! One record in the journal.
//!
//! `CRC-32C of what follows the length (4) | length of that (4) | version (8) | length of the
//! identifier (1) | identifier | record`, numbers little endian, the record as
//! [`codec`](super::super::super::codec) has it. An empty record says that the image is
//! forgotten. Identifier and version stand outside the
//! record, so that to find the newest of each image none has to be parsed.

use std::collections::HashMap;

use super::super::super::Version;
use super::super::super::codec::MAX_RECORD_BYTES;
use crate::image::ImageId;

const HEADER_BYTES: usize = 8;
const FIXED_BYTES: usize = 9;
/// Images that were forgotten, with the version that says so, for as long as sled may still
/// have them.
pub(in crate::registry::embedded) type Purged = HashMap<ImageId, Version>;

/// More than any frame has.
pub(super) const MAX_FRAME_BYTES: usize = HEADER_BYTES + FIXED_BYTES + 255 + MAX_RECORD_BYTES;

/// What stands at a place of the journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A record.
    Whole {
        id: ImageId,
        version: Version,
        frame_bytes: usize,
        /// Where in the frame the record begins.
        record_at: usize,
    },
    /// The beginning of one, perhaps.
    Cut,
    /// No record.
    Bad,
}

/// Appends a record to `out`.
pub(in super::super) fn push(out: &mut Vec<u8>, id: &ImageId, version: Version, record: &[u8]) {
    let start = out.len();
    let id = id.as_str().as_bytes();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.extend_from_slice(&version.to_le_bytes());
    // At most 36 letters.
    out.push(id.len() as u8);
    out.extend_from_slice(id);
    out.extend_from_slice(record);
    let body = start + HEADER_BYTES;
    let crc = crc32c::crc32c(&out[body..]);
    // A record has at most 64 KiB.
    let len = (out.len() - body) as u32;
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    out[start + 4..body].copy_from_slice(&len.to_le_bytes());
}

/// Looks for a record at the beginning of these bytes.
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
    let (id_len, rest) = rest.split_first()?;
    let id = rest.get(..usize::from(*id_len))?;
    Some(Parsed::Whole {
        id: std::str::from_utf8(id).ok()?.parse().ok()?,
        version: Version::from_le_bytes(*version),
        frame_bytes: HEADER_BYTES + body.len(),
        record_at: HEADER_BYTES + FIXED_BYTES + id.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_found_and_nothing_else() {
        let id = ImageId::random();
        let mut bytes = Vec::new();
        push(&mut bytes, &id, 7, b"record");
        let Parsed::Whole {
            id: found,
            version,
            frame_bytes,
            record_at,
        } = parse(&bytes)
        else {
            panic!("{:?}", parse(&bytes));
        };
        assert_eq!((found, version, frame_bytes), (id, 7, bytes.len()));
        assert_eq!(&bytes[record_at..], b"record");
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
