//! Blocks that a transport receives a body into.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use crate::transfer::{BLOCK_BYTES, Block, BlockPool};

/// The most that is received at once: a block. With a quarter of it the worker's part of an
/// upload costs a quarter more.
pub(super) const MOST_SHOWN_BYTES: usize = BLOCK_BYTES;

/// Blocks on their way from the transport to whoever reads the body.
pub(super) struct Inbox {
    pool: BlockPool,
    block: Option<Block>,
    full: VecDeque<Bytes>,
    /// Whether the transport receives into the blocks.
    is_direct: bool,
    /// Bytes that hyper was shown in place of those in blocks.
    shown_bytes: u64,
}

impl Inbox {
    pub(super) fn new(pool: BlockPool) -> Self {
        Self {
            pool,
            block: None,
            full: VecDeque::new(),
            is_direct: false,
            shown_bytes: 0,
        }
    }

    /// Whether the transport receives into the blocks.
    pub(super) fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// Has `fill` put at most so many bytes into the block.
    pub(super) fn receive(
        &mut self,
        most: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut block = self.block.take().unwrap_or_else(|| self.pool.take());
        let received = block.fill_with(|room| {
            let most = most.min(room.len());
            fill(&mut room[..most])
        });
        self.put_back(block);
        let received = received?;
        self.shown_bytes += received as u64;
        Ok(received)
    }

    /// Puts bytes that hyper received into blocks.
    pub(super) fn copy(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let mut block = self.block.take().unwrap_or_else(|| self.pool.take());
            data = block.fill(data);
            self.put_back(block);
        }
    }

    /// From now on the transport receives into the blocks.
    pub(super) fn go_direct(&mut self) {
        self.is_direct = true;
    }

    /// Bytes that hyper was shown in place of those in blocks.
    pub(super) fn shown_bytes(&self) -> u64 {
        self.shown_bytes
    }

    /// The next whole block.
    pub(super) fn next_block(&mut self) -> Option<Bytes> {
        self.full.pop_front()
    }

    /// What makes no whole block.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        self.block.take().map(Block::freeze)
    }

    fn put_back(&mut self, block: Block) {
        if block.is_full() {
            self.full.push_back(block.freeze());
        } else if !block.is_empty() {
            self.block = Some(block);
        }
    }
}
