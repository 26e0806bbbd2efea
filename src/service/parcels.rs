//! What arrives in pieces of any size, in pieces worth their handling.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::transfer::{Block, BlockPool};

/// From here on a piece is passed on as it is, where the store takes any. Below it, the
/// cost of handing a piece to hash and store is above that of copying it.
const WHOLE_BYTES: usize = 32 * 1024;

/// Gathers pieces into blocks, and lets large ones through untouched if it may.
pub(super) struct Parcels<'pool> {
    pool: &'pool BlockPool,
    blocks_only: bool,
    block: Option<Block>,
    /// When the first bytes of the block came.
    since: Instant,
    /// What came last and is not in a block.
    piece: Bytes,
}

impl<'pool> Parcels<'pool> {
    pub(super) fn new(pool: &'pool BlockPool, blocks_only: bool) -> Self {
        Self {
            pool,
            blocks_only,
            block: None,
            since: Instant::now(),
            piece: Bytes::new(),
        }
    }

    /// Takes the next piece. [`Parcels::next`] has to be exhausted before.
    pub(super) fn add(&mut self, piece: Bytes) {
        self.piece = piece;
    }

    /// The next parcel, if there is one without waiting for more.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if self.piece.is_empty() {
            return None;
        }
        if !self.blocks_only && self.piece.len() >= WHOLE_BYTES {
            // What came before goes before.
            return self
                .rest()
                .or_else(|| Some(std::mem::take(&mut self.piece)));
        }
        while !self.piece.is_empty() {
            let mut block = self.block.take().unwrap_or_else(|| {
                self.since = Instant::now();
                self.pool.take()
            });
            let left = block.fill(&self.piece).len();
            self.piece = self.piece.split_off(self.piece.len() - left);
            if block.is_full() {
                return Some(block.freeze());
            }
            self.block = Some(block);
        }
        None
    }

    /// How long bytes that make no whole block may still be kept, where they may be for
    /// `kept_for`; `None` when there are none.
    pub(super) fn due_in(&self, kept_for: Duration) -> Option<Duration> {
        self.block.as_ref()?;
        Some(kept_for.saturating_sub(self.since.elapsed()))
    }

    /// What has been gathered and makes no whole block.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        self.block.take().map(Block::freeze)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::BLOCK_BYTES;

    fn parcels(blocks_only: bool, pieces: &[usize]) -> Vec<usize> {
        let pool = BlockPool::new(2);
        let mut parcels = Parcels::new(&pool, blocks_only);
        let mut whole = Vec::new();
        let mut lens = Vec::new();
        let mut number = 0u8;
        let mut expected = Vec::new();
        for len in pieces {
            number = number.wrapping_add(1);
            let piece = vec![number; *len];
            expected.extend_from_slice(&piece);
            parcels.add(piece.into());
            while let Some(parcel) = parcels.next() {
                lens.push(parcel.len());
                whole.extend_from_slice(&parcel);
            }
        }
        if let Some(parcel) = parcels.rest() {
            lens.push(parcel.len());
            whole.extend_from_slice(&parcel);
        }
        assert!(whole == expected);
        lens
    }

    #[test]
    fn blocks_are_whole_but_for_the_last() {
        let lens = parcels(true, &[1, BLOCK_BYTES * 2, 70_000, 5]);
        assert_eq!(lens, [BLOCK_BYTES, BLOCK_BYTES, 70_006]);
    }

    #[test]
    fn large_pieces_go_through_and_small_ones_gather_in_order() {
        let lens = parcels(false, &[10, 20, 400_000, 40_000, 30, BLOCK_BYTES]);
        assert_eq!(lens, [30, 400_000, 40_000, 30, BLOCK_BYTES]);
        let many = vec![1000; 300];
        assert_eq!(parcels(false, &many), [BLOCK_BYTES, 300_000 - BLOCK_BYTES]);
    }

    #[test]
    fn bytes_that_make_no_block_become_due() {
        let pool = BlockPool::new(2);
        let mut parcels = Parcels::new(&pool, false);
        assert_eq!(parcels.due_in(Duration::ZERO), None);
        parcels.add(Bytes::from_static(b"few"));
        assert_eq!(parcels.next(), None);
        assert_eq!(parcels.due_in(Duration::ZERO), Some(Duration::ZERO));
        assert!(parcels.due_in(Duration::from_secs(3600)) > Some(Duration::from_secs(3000)));
        assert_eq!(parcels.rest().as_deref(), Some(&b"few"[..]));
        assert_eq!(parcels.due_in(Duration::ZERO), None);
    }

    #[test]
    fn nothing_makes_no_parcel() {
        assert!(parcels(true, &[]).is_empty());
        assert!(parcels(false, &[0]).is_empty());
    }
}
