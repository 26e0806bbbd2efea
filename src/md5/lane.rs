//! A lane: one stream on a hash thread, and the step that advances all lanes of a thread.

use std::sync::Arc;

use bytes::Bytes;

use super::cpu::Kernels;
use super::queue::StreamQueue;
use super::rounds::{BLOCK_BYTES, Chain};
use super::state::Md5;

/// Most bytes of each lane in one step. A stream that becomes ready waits for one step at most:
/// 20 us with one lane, 32 us with sixteen.
const STEP_BYTES: usize = 16 * 1024;

/// A stream's MD5 state and its current piece.
///
/// Invariant between steps, after [`Lane::settle`]: no block is partially filled and at least one
/// whole block is left in the piece, or the lane has ended.
#[derive(Debug)]
pub(super) struct Lane {
    queue: Arc<StreamQueue>,
    md5: Md5,
    piece: Bytes,
    done_bytes: usize,
    /// True if the state was returned to the queue.
    over: bool,
    /// True if the current piece has waited for a batch. Each piece waits once at most.
    pub(super) has_waited: bool,
}

impl Lane {
    pub(super) fn new(queue: Arc<StreamQueue>, md5: Md5, piece: Bytes) -> Self {
        Self {
            queue,
            md5,
            piece,
            done_bytes: 0,
            over: false,
            has_waited: false,
        }
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.queue.is_urgent()
    }

    /// Returns true if the lane is at the beginning of a piece, where it may be exchanged for
    /// another stream's.
    pub(super) fn is_at_border(&self) -> bool {
        self.done_bytes < BLOCK_BYTES
    }

    /// Advances over piece borders until the current piece has a whole block. Returns false if the
    /// queue is empty; the lane has then ended.
    ///
    /// A block that spans two pieces is assembled and hashed here. The blocks after it can be
    /// hashed in the lanes, whatever the lengths of the pieces are.
    fn settle(&mut self) -> bool {
        loop {
            if self.queue.is_abandoned() {
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
            // Dropping a piece may run its owner's code, so it happens outside of the lock.
            let hashed = std::mem::take(&mut self.piece).len();
            self.done_bytes = 0;
            self.has_waited = false;
            match self.queue.next_piece(hashed, &self.md5) {
                Some(piece) => self.piece = piece,
                None => {
                    self.over = true;
                    return false;
                }
            }
        }
    }

    /// Returns the number of whole blocks that are left in the piece.
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
            self.queue.lose();
        }
    }
}

/// Advances all lanes by one step: by the number of blocks that all of them have, up to
/// [`STEP_BYTES`]. Lanes whose queue is empty are removed.
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
