//! One stream under way on a hash thread.

use std::sync::Arc;

use bytes::Bytes;

use super::cpu::Kernels;
use super::queue::StreamQueue;
use super::rounds::{BLOCK_BYTES, Chain};
use super::state::Md5;

/// Bytes of each lane in one step. A stream that becomes ready waits for a
/// step at most: 20 us for one lane, 32 us for sixteen.
const STEP_BYTES: usize = 16 * 1024;

/// A stream's MD5 state with the piece it is at.
///
/// At rest between steps no block is begun and at least one whole block is
/// left, or the lane is over.
#[derive(Debug)]
pub(super) struct Lane {
    feed: Arc<StreamQueue>,
    md5: Md5,
    piece: Bytes,
    done_bytes: usize,
    /// The state is back with the feed.
    over: bool,
    /// This piece has waited for company once.
    pub(super) has_waited: bool,
}

impl Lane {
    pub(super) fn new(feed: Arc<StreamQueue>, md5: Md5, piece: Bytes) -> Self {
        Self {
            feed,
            md5,
            piece,
            done_bytes: 0,
            over: false,
            has_waited: false,
        }
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.feed.is_urgent()
    }

    /// Whether it stands at the beginning of a piece, where another stream may
    /// have its turn.
    pub(super) fn is_at_border(&self) -> bool {
        self.done_bytes < BLOCK_BYTES
    }

    /// Goes over borders of pieces until there is a whole block for the lanes.
    /// False when there is none: the lane is over.
    ///
    /// A block that lies across a border is put together here, so that what
    /// follows it stays in the lanes whatever the pieces' lengths are.
    fn settle(&mut self) -> bool {
        loop {
            if self.feed.is_abandoned() {
                self.over = true;
                return false;
            }
            if self.done_bytes == 0 || self.blocks() == 0 {
                self.done_bytes += self.md5.complete_block(&self.piece[self.done_bytes..]);
            }
            if self.blocks() > 0 {
                return true;
            }
            if self.done_bytes < self.piece.len() {
                continue;
            }
            // The piece may run its owner's code when dropped: not under a lock.
            let hashed = std::mem::take(&mut self.piece).len();
            self.done_bytes = 0;
            self.has_waited = false;
            match self.feed.next_piece(hashed, &self.md5) {
                Some(piece) => self.piece = piece,
                None => {
                    self.over = true;
                    return false;
                }
            }
        }
    }

    /// Whole blocks of the piece that are left.
    fn blocks(&self) -> usize {
        (self.piece.len() - self.done_bytes) / BLOCK_BYTES
    }

    fn split(&mut self) -> (&mut Chain, &[u8]) {
        (self.md5.chain_mut(), &self.piece[self.done_bytes..])
    }

    fn count_blocks(&mut self, blocks: usize) {
        self.md5.count_blocks(blocks);
        self.done_bytes += blocks * BLOCK_BYTES;
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if !self.over {
            self.feed.lose();
        }
    }
}

/// Takes all lanes one step further: as many blocks as all of them have, and no
/// more than a step. Lanes that come to the end of their queue are removed.
pub(super) fn step(kernels: &Kernels, lanes: &mut Vec<Lane>) {
    lanes.retain_mut(Lane::settle);
    let common = lanes.iter().map(Lane::blocks).min().unwrap_or(0);
    let blocks = common.min(STEP_BYTES / BLOCK_BYTES);
    match kernels.for_streams(lanes.len()) {
        Some(kernel) => {
            kernel.run(lanes.iter_mut().map(Lane::split), blocks);
        }
        None => {
            for lane in lanes.iter_mut() {
                let (chain, data) = lane.split();
                kernels
                    .single
                    .run(chain, &data.as_chunks::<BLOCK_BYTES>().0[..blocks]);
            }
        }
    }
    for lane in lanes {
        lane.count_blocks(blocks);
    }
}
