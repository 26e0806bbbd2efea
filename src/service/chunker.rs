//! What arrives in pieces of any size, in pieces worth their handling.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::transfer::{Block, BlockPool};

/// From here on a piece is passed on as it is, where the store takes any. Below it, the
/// cost of handing a piece to hash and store is above that of copying it.
const WHOLE_BYTES: usize = 32 * 1024;

/// Gathers pieces into blocks, and lets large ones through untouched if it may.
pub(super) struct Chunker<'pool> {
    pool: &'pool BlockPool,
    blocks_only: bool,
    block: Option<Block>,
    /// When the first bytes of the block came.
    since: Instant,
    /// What came last and is not in a block.
    piece: Bytes,
}

impl<'pool> Chunker<'pool> {
    pub(super) fn new(pool: &'pool BlockPool, blocks_only: bool) -> Self {
        Self {
            pool,
            blocks_only,
            block: None,
            since: Instant::now(),
            piece: Bytes::new(),
        }
    }

    /// Takes the next piece. [`Chunker::next`] has to be exhausted before.
    pub(super) fn add(&mut self, piece: Bytes) {
        self.piece = piece;
    }

    /// The next chunk, if there is one without waiting for more. Where the store takes blocks,
    /// this waits until there is room for one more of them in memory.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if self.piece.is_empty() {
            return None;
        }
        if !self.blocks_only && self.piece.len() >= WHOLE_BYTES {
            // Bytes that came before go before.
            return match self.rest().await {
                None => Some(std::mem::take(&mut self.piece)),
                gathered => gathered,
            };
        }
        while !self.piece.is_empty() {
            let mut block = self.block.take().unwrap_or_else(|| {
                self.since = Instant::now();
                self.pool.take()
            });
            let left = block.fill(&self.piece).len();
            self.piece = self.piece.split_off(self.piece.len() - left);
            if block.is_full() {
                return Some(self.freeze(block).await);
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

    /// The bytes that have been gathered and make no whole block.
    pub(super) async fn rest(&mut self) -> Option<Bytes> {
        let block = self.block.take()?;
        Some(self.freeze(block).await)
    }

    /// A store that takes pieces of any size may keep them until it has enough for a request of
    /// its own, and bounds its memory itself.
    async fn freeze(&self, block: Block) -> Bytes {
        match self.blocks_only {
            true => self.pool.admit(block).await,
            false => block.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::BLOCK_BYTES;

    async fn chunker(blocks_only: bool, pieces: &[usize]) -> Vec<usize> {
        let pool = BlockPool::new(2);
        let mut chunker = Chunker::new(&pool, blocks_only);
        let mut whole = Vec::new();
        let mut lens = Vec::new();
        let mut number = 0u8;
        let mut expected = Vec::new();
        for len in pieces {
            number = number.wrapping_add(1);
            let piece = vec![number; *len];
            expected.extend_from_slice(&piece);
            chunker.add(piece.into());
            while let Some(chunk) = chunker.next().await {
                lens.push(chunk.len());
                whole.extend_from_slice(&chunk);
            }
        }
        if let Some(chunk) = chunker.rest().await {
            lens.push(chunk.len());
            whole.extend_from_slice(&chunk);
        }
        assert!(whole == expected);
        lens
    }

    #[tokio::test]
    async fn blocks_are_whole_but_for_the_last() {
        let lens = chunker(true, &[1, BLOCK_BYTES * 2, 70_000, 5]).await;
        assert_eq!(lens, [BLOCK_BYTES, BLOCK_BYTES, 70_006]);
    }

    #[tokio::test]
    async fn large_pieces_go_through_and_small_ones_gather_in_order() {
        let lens = chunker(false, &[10, 20, 400_000, 40_000, 30, BLOCK_BYTES]).await;
        assert_eq!(lens, [30, 400_000, 40_000, 30, BLOCK_BYTES]);
        let many = vec![1000; 300];
        let lens = chunker(false, &many).await;
        assert_eq!(lens, [BLOCK_BYTES, 300_000 - BLOCK_BYTES]);
    }

    #[tokio::test]
    async fn bytes_that_make_no_block_become_due() {
        let pool = BlockPool::new(2);
        let mut chunker = Chunker::new(&pool, false);
        assert_eq!(chunker.due_in(Duration::ZERO), None);
        chunker.add(Bytes::from_static(b"few"));
        assert_eq!(chunker.next().await, None);
        assert_eq!(chunker.due_in(Duration::ZERO), Some(Duration::ZERO));
        assert!(chunker.due_in(Duration::from_secs(3600)) > Some(Duration::from_secs(3000)));
        assert_eq!(chunker.rest().await.as_deref(), Some(&b"few"[..]));
        assert_eq!(chunker.due_in(Duration::ZERO), None);
    }

    #[tokio::test]
    async fn nothing_makes_no_parcel() {
        assert!(chunker(true, &[]).await.is_empty());
        assert!(chunker(false, &[0]).await.is_empty());
    }
}
