//! Re-blocking: turns the pieces that arrive from the network into chunks for hash and store.
//!
//! A store may accept only whole blocks (file), or any size (S3, Swift). For the latter, large
//! pieces pass without a copy and small ones are gathered into blocks.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::transfer::{Block, BlockPool};

/// The least size of a piece that passes without a copy. For a smaller piece, handing it to hash
/// and store costs more than copying it.
const WHOLE_BYTES: usize = 32 * 1024;

/// Gathers pieces into chunks.
pub(super) struct Chunker<'pool> {
    pool: &'pool BlockPool,
    blocks_only: bool,
    block: Option<Block>,
    /// The time at which the first bytes of the block arrived.
    since: Instant,
    /// The bytes of the last piece that are not in a block.
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

    /// Adds the next piece. [`Chunker::next`] must have returned `None` before.
    pub(super) fn add(&mut self, piece: Bytes) {
        self.piece = piece;
    }

    /// Returns the next chunk, or `None` if more pieces are needed. For a store of blocks, waits
    /// until the pool admits one more block in memory.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if self.piece.is_empty() {
            return None;
        }
        if !self.blocks_only && self.piece.len() >= WHOLE_BYTES {
            // The gathered bytes arrived earlier, so they are returned first.
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

    /// Returns the time until the gathered bytes have waited for `max_delay`; `None` if there are
    /// none.
    pub(super) fn due_in(&self, max_delay: Duration) -> Option<Duration> {
        self.block.as_ref()?;
        Some(max_delay.saturating_sub(self.since.elapsed()))
    }

    /// Returns the gathered bytes, which make no whole block.
    pub(super) async fn rest(&mut self) -> Option<Bytes> {
        let block = self.block.take()?;
        Some(self.freeze(block).await)
    }

    /// Turns a block into a chunk. Only a store of blocks is held to the pool's bound: any other
    /// store may keep chunks until it has enough for a request, and bounds its memory itself.
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

    async fn chunk_lens(blocks_only: bool, pieces: &[usize]) -> Vec<usize> {
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
    async fn every_block_but_the_last_is_full() {
        let lens = chunk_lens(true, &[1, BLOCK_BYTES * 2, 70_000, 5]).await;
        assert_eq!(lens, [BLOCK_BYTES, BLOCK_BYTES, 70_006]);
    }

    #[tokio::test]
    async fn large_pieces_pass_and_small_ones_gather_in_order() {
        let lens = chunk_lens(false, &[10, 20, 400_000, 40_000, 30, BLOCK_BYTES]).await;
        assert_eq!(lens, [30, 400_000, 40_000, 30, BLOCK_BYTES]);
        let many = vec![1000; 300];
        let lens = chunk_lens(false, &many).await;
        assert_eq!(lens, [BLOCK_BYTES, 300_000 - BLOCK_BYTES]);
    }

    #[tokio::test]
    async fn incomplete_block_becomes_due() {
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
    async fn empty_input_makes_no_chunk() {
        assert!(chunk_lens(true, &[]).await.is_empty());
        assert!(chunk_lens(false, &[0]).await.is_empty());
    }
}
