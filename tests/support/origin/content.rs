//! Bytes that can be had at any offset without keeping them, so that a body of many GiB needs
//! no memory.

use std::ops::Range;

use md5::Digest;

use super::super::{hex, pattern};

/// Bytes of a piece are copied from somewhere in the table; where differs from piece to piece.
const PIECE_BYTES: u64 = 64 * 1024;
const TABLE_BYTES: u64 = 1024 * 1024;

/// What an origin serves: the same bytes for the same seed, and hardly any two pieces alike,
/// so that a byte which came to the wrong place shows.
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

    /// What it was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The bytes from `offset` on, as many as lie in one piece and below `end`. They go on
    /// behind the content's size.
    ///
    /// # Panics
    /// When `offset` is not below `end`.
    pub fn piece(&self, offset: u64, end: u64) -> &[u8] {
        let within = offset % PIECE_BYTES;
        let len = (end - offset).min(PIECE_BYTES - within);
        assert!(len > 0, "no bytes from {offset} to {end}");
        let from = (self.start_of(offset / PIECE_BYTES) + within) as usize;
        &self.table[from..from + len as usize]
    }

    /// Where in the table a piece begins (SplitMix64).
    fn start_of(&self, piece: u64) -> u64 {
        let mut mixed = (self.seed ^ piece).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % TABLE_BYTES
    }

    /// The pieces of a range, in order.
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

    /// A range in memory.
    pub fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        self.pieces(range).flatten().copied().collect()
    }

    /// All of it in memory.
    pub fn all(&self) -> Vec<u8> {
        self.bytes(0..self.size_bytes)
    }

    /// Whether these are the bytes from `offset` on.
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
