//! Content that is computed at any offset, so that a body of many GiB needs no memory.

use std::ops::Range;

use md5::Digest;

use super::super::{hex, pattern};

/// Size of a piece. Each piece is copied from a different offset of a table.
const PIECE_BYTES: u64 = 64 * 1024;
const TABLE_BYTES: u64 = 1024 * 1024;

/// The content of an origin. The same seed gives the same bytes, and pieces differ, so that a byte
/// at a wrong offset is noticed.
#[derive(Debug)]
pub struct Content {
    pub size_bytes: u64,
    seed: u64,
    table: Vec<u8>,
}

impl Content {
    pub fn new(seed: u64, size_bytes: u64) -> Self {
        let table = pattern((TABLE_BYTES + PIECE_BYTES) as usize, seed);
        Self {
            size_bytes,
            seed,
            table,
        }
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the bytes from `offset` to the end of its piece or `end`. They continue beyond the
    /// size of the content.
    ///
    /// # Panics
    /// Panics if `offset` is not below `end`.
    pub fn piece(&self, offset: u64, end: u64) -> &[u8] {
        let within = offset % PIECE_BYTES;
        let len = (end - offset).min(PIECE_BYTES - within);
        assert!(len > 0, "no bytes from {offset} to {end}");
        let from = (self.start_of(offset / PIECE_BYTES) + within) as usize;
        &self.table[from..from + len as usize]
    }

    /// Returns the offset of a piece in the table (SplitMix64).
    fn start_of(&self, piece: u64) -> u64 {
        let mut mixed = (self.seed ^ piece).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % TABLE_BYTES
    }

    /// Returns the pieces of a range in order.
    pub fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = &[u8]> {
        let mut at = range.start;
        std::iter::from_fn(move || {
            (at < range.end).then(|| {
                let piece = self.piece(at, range.end);
                at += piece.len() as u64;
                piece
            })
        })
    }

    /// Returns a range in memory.
    pub fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        self.pieces(range).flatten().copied().collect()
    }

    /// Returns the whole content in memory.
    pub fn all(&self) -> Vec<u8> {
        self.bytes(0..self.size_bytes)
    }

    /// Returns true if these are the bytes from `offset` on.
    pub fn has(&self, offset: u64, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        let end = offset + bytes.len() as u64;
        self.pieces(offset..end).all(|piece| {
            let (now, later) = rest.split_at(piece.len());
            rest = later;
            now == piece
        })
    }

    pub fn md5_hex(&self) -> String {
        let mut md5 = md5::Md5::new();
        self.pieces(0..self.size_bytes)
            .for_each(|piece| md5.update(piece));
        hex(&md5.finalize())
    }
}
