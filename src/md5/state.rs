//! State of one message: the chaining value, the length, and a partially filled block.

use super::cpu::Kernels;
use super::rounds::{BLOCK_BYTES, Chain, INITIAL};

/// Size of an MD5 digest in bytes.
pub const DIGEST_BYTES: usize = 16;

/// Offset of the message's length in bits in the last block (RFC 1321, 3.2).
const LENGTH_AT: usize = BLOCK_BYTES - 8;

/// Computes an MD5 on the caller's thread, for small messages and for threads that have nothing
/// else to do.
///
/// ```
/// use glance::md5::Md5;
///
/// let mut md5 = Md5::new();
/// md5.update(b"a");
/// md5.update(b"bc");
/// assert_eq!(md5.finalize()[..4], [0x90, 0x01, 0x50, 0x98]);
/// ```
#[derive(Clone, Debug)]
pub struct Md5 {
    chain: Chain,
    /// Number of bytes so far. Those after the last whole block are in `begun`.
    length: u64,
    begun: [u8; BLOCK_BYTES],
}

impl Default for Md5 {
    fn default() -> Self {
        Self::new()
    }
}

impl Md5 {
    /// Creates the state of an empty message.
    pub fn new() -> Self {
        Self {
            chain: INITIAL,
            length: 0,
            begun: [0; BLOCK_BYTES],
        }
    }

    /// Appends bytes to the message.
    pub fn update(&mut self, data: &[u8]) {
        let (_, data) = data.split_at(self.complete_block(data));
        let (blocks, rest) = data.as_chunks::<BLOCK_BYTES>();
        self.take_blocks(blocks);
        if !rest.is_empty() {
            // The partial block is complete; the remainder begins the next one.
            self.complete_block(rest);
        }
    }

    /// Returns the digest of the message.
    pub fn finalize(mut self) -> [u8; DIGEST_BYTES] {
        let bits = self.length.wrapping_mul(8);
        let begun = self.begun_bytes();
        self.begun[begun] = 0x80;
        self.begun[begun + 1..].fill(0);
        if begun >= LENGTH_AT {
            self.compress_begun();
            self.begun.fill(0);
        }
        self.begun[LENGTH_AT..].copy_from_slice(&bits.to_le_bytes());
        self.compress_begun();
        let mut digest = [0; DIGEST_BYTES];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.chain) {
            *bytes = word.to_le_bytes();
        }
        digest
    }

    /// Returns the digest of `data`.
    pub fn digest(data: &[u8]) -> [u8; DIGEST_BYTES] {
        let mut md5 = Self::new();
        md5.update(data);
        md5.finalize()
    }

    /// Returns the number of bytes in the partial block, 0 to 63.
    pub(super) fn begun_bytes(&self) -> usize {
        // The remainder is below 64, so the cast loses nothing.
        (self.length % BLOCK_BYTES as u64) as usize
    }

    /// Completes the partial block with bytes of `data`, and returns their number. Uses no bytes
    /// if there is no partial block and `data` has a whole one.
    pub(super) fn complete_block(&mut self, data: &[u8]) -> usize {
        let begun = self.begun_bytes();
        if begun == 0 && data.len() >= BLOCK_BYTES {
            return 0;
        }
        let taken = data.len().min(BLOCK_BYTES - begun);
        self.begun[begun..begun + taken].copy_from_slice(&data[..taken]);
        self.length = self.length.wrapping_add(taken as u64);
        if begun + taken == BLOCK_BYTES {
            self.compress_begun();
        }
        taken
    }

    /// Hashes whole blocks with the single-stream function. There must be no partial block.
    pub(super) fn take_blocks(&mut self, blocks: &[[u8; BLOCK_BYTES]]) {
        Kernels::chosen().single.run(&mut self.chain, blocks);
        self.count_blocks(blocks.len());
    }

    /// Returns the chaining value for a lane kernel. The caller counts the blocks that it hashes by
    /// [`count_blocks`](Self::count_blocks). There must be no partial block.
    pub(super) fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// Counts blocks that a lane kernel hashed.
    pub(super) fn count_blocks(&mut self, blocks: usize) {
        debug_assert!(blocks == 0 || self.begun_bytes() == 0);
        self.length = self.length.wrapping_add((blocks * BLOCK_BYTES) as u64);
    }

    fn compress_begun(&mut self) {
        Kernels::chosen().single.run(&mut self.chain, &[self.begun]);
    }
}
