//! Reusable buffers for upload data between the network, the hash and a store.
//!
//! A block is aligned so that the kernel can write it to a device without a copy (O_DIRECT). All
//! blocks have one size, so that hash steps and disk requests have one size. A block returns to
//! its pool when the last user (the hash or the disk) drops it.
//!
//! Each block is a memory mapping of its own. MappedMemory from the allocator would be fragmented by
//! other allocations, and could not be returned to the system after many uploads have ended.

use std::alloc::{Layout, handle_alloc_error};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::{fmt, io, mem};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sys::MappedMemory;

/// Size of a block in bytes: large enough for a disk request, small enough that the blocks of an
/// upload stay in the CPU cache between network, hash and disk.
pub const BLOCK_BYTES: usize = 256 * 1024;

/// Alignment of addresses, offsets and lengths that satisfies O_DIRECT on all common file systems.
pub const BLOCK_ALIGNMENT: usize = 4096;

/// Maps the memory of a block. Aborts if the system has no memory, as the allocator does.
fn new_memory() -> MappedMemory {
    const LAYOUT: Layout = match Layout::from_size_align(BLOCK_BYTES, BLOCK_ALIGNMENT) {
        Ok(layout) => layout,
        Err(_) => panic!("size and alignment of a block are not a valid layout"),
    };
    MappedMemory::new(BLOCK_BYTES).unwrap_or_else(|_| handle_alloc_error(LAYOUT))
}

/// Every pool of the process, for [`release_idle_blocks`].
static POOLS: Mutex<Vec<Weak<Idle>>> = Mutex::new(Vec::new());

/// A pool of idle blocks, with a limit for the blocks in flight. Cheap to clone; clones share the
/// pool.
#[derive(Clone)]
pub struct BlockPool {
    idle: Arc<Idle>,
    /// One permit for each block that may be in flight to hash and disk.
    permits: Arc<Semaphore>,
}

/// The unused blocks of a pool.
struct Idle {
    stack: Mutex<Stack>,
    most: usize,
}

#[derive(Default)]
struct Stack {
    blocks: Vec<MappedMemory>,
    /// Least number of idle blocks since the last [`release_idle_blocks`]: these were not needed.
    fewest: usize,
}

impl BlockPool {
    /// Creates a pool that keeps at most `most_idle` idle blocks. Further ones are returned to the
    /// system.
    pub fn new(most_idle: usize) -> Self {
        let idle = Arc::new(Idle {
            stack: Mutex::default(),
            most: most_idle,
        });
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&idle));
        Self {
            idle,
            permits: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    /// Limits the blocks that [`BlockPool::admit`] lets through at a time to `bytes`, and at least
    /// one block.
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.permits = Arc::new(Semaphore::new((bytes / BLOCK_BYTES).max(1)));
        self
    }

    /// Returns an empty block, an idle one if there is one.
    pub fn take(&self) -> Block {
        let memory = {
            let mut stack = self.idle.lock();
            let memory = stack.blocks.pop();
            stack.fewest = stack.fewest.min(stack.blocks.len());
            memory
        };
        Block {
            memory: Some(memory.unwrap_or_else(new_memory)),
            filled: 0,
            pool: Arc::clone(&self.idle),
            _permit: None,
        }
    }

    /// Freezes a block as soon as the limit of blocks in flight allows.
    ///
    /// Only for blocks that hash and disk release by themselves. A block that waits for its client
    /// would delay the uploads of others.
    pub async fn admit(&self, mut block: Block) -> Bytes {
        // Fails only if the semaphore is closed, which never happens.
        block._permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        block.freeze()
    }
}

impl Idle {
    fn put_back(&self, memory: MappedMemory) {
        let mut stack = self.lock();
        if stack.blocks.len() < self.most {
            stack.blocks.push(memory);
        }
    }

    /// Removes the blocks that were not needed since the last call.
    fn take_unneeded(&self) -> Vec<MappedMemory> {
        let mut stack = self.lock();
        // The least number since the last call were never taken, so they are not needed now.
        let unneeded = mem::take(&mut stack.fewest).min(stack.blocks.len());
        let kept = stack.blocks.len() - unneeded;
        stack.fewest = kept;
        stack.blocks.split_off(kept)
    }

    fn lock(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the blocks to the system that the pools have not needed since the last call.
pub fn release_idle_blocks() {
    let pools: Vec<_> = {
        let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).collect()
    };
    for pool in pools {
        // Unmapping takes time, so it happens after the pool's lock is released.
        drop(pool.take_unneeded());
    }
}

impl fmt::Debug for BlockPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockPool")
            .field("most_idle", &self.idle.most)
            .finish_non_exhaustive()
    }
}

/// A block that is being filled.
pub struct Block {
    // Present until dropped.
    memory: Option<MappedMemory>,
    filled: usize,
    pool: Arc<Idle>,
    /// The permit of a block in flight; returned together with its memory.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Block {
    /// Appends as much of `data` as fits. Returns the rest.
    pub fn fill<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let Some(memory) = self.memory.as_mut() else {
            return data;
        };
        let free = &mut memory.as_mut_slice()[self.filled..];
        let taken = free.len().min(data.len());
        free[..taken].copy_from_slice(&data[..taken]);
        self.filled += taken;
        &data[taken..]
    }

    /// Lets a function fill the free space from its beginning and return the number of bytes.
    /// Returns that number, or zero if the block is full.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn fill_with(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some(memory) = self.memory.as_mut() else {
            return Ok(0);
        };
        let free = &mut memory.as_mut_slice()[self.filled..];
        if free.is_empty() {
            return Ok(0);
        }
        let filled = fill(free)?.min(free.len());
        self.filled += filled;
        Ok(filled)
    }

    /// Returns the number of bytes in the block.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Returns true if the block is empty.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Returns true if the block is full.
    pub fn is_full(&self) -> bool {
        self.filled == BLOCK_BYTES
    }

    /// Converts the block into shared, read-only bytes, aligned to [`BLOCK_ALIGNMENT`]. The memory
    /// returns to its pool when the last clone is dropped.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.memory
            .as_ref()
            .map_or(&[], |memory| &memory.as_slice()[..self.filled])
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.put_back(memory);
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_returns_the_bytes_that_do_not_fit() {
        let pool = BlockPool::new(1);
        let mut block = pool.take();
        let data = vec![7; BLOCK_BYTES + 3];
        assert_eq!(block.fill(&data).len(), 3);
        assert!(block.is_full());
        let bytes = block.freeze();
        assert_eq!(bytes.as_ptr() as usize % BLOCK_ALIGNMENT, 0);
        assert_eq!(bytes.len(), BLOCK_BYTES);
        assert!(bytes.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn memory_returns_to_the_pool_with_the_last_clone() {
        let pool = BlockPool::new(1);
        let mut block = pool.take();
        block.fill(b"abc");
        let address = block.as_ref().as_ptr();
        let bytes = block.freeze();
        let clone = bytes.clone();
        drop(bytes);
        assert_ne!(pool.take().fill(b"x").as_ptr(), address);
        drop(clone);
        let again = pool.take();
        assert!(again.is_empty());
        assert_eq!(pool.idle.lock().blocks.len(), 0);
    }

    #[test]
    fn pool_keeps_at_most_its_idle_limit() {
        let pool = BlockPool::new(1);
        drop((pool.take(), pool.take()));
        assert_eq!(pool.idle.lock().blocks.len(), 1);
    }

    #[test]
    fn unneeded_blocks_are_released() {
        let pool = BlockPool::new(8);
        drop([pool.take(), pool.take(), pool.take()]);
        assert_eq!(pool.idle.take_unneeded().len(), 0, "needed a moment ago");
        drop([pool.take(), pool.take()]);
        assert_eq!(pool.idle.take_unneeded().len(), 1);
        assert_eq!(pool.idle.take_unneeded().len(), 2);
        assert_eq!(pool.idle.lock().blocks.len(), 0);
    }

    #[tokio::test]
    async fn admit_waits_at_the_limit_of_blocks_in_flight() {
        let pool = BlockPool::new(8).with_limit(2 * BLOCK_BYTES);
        let (first, _second) = (pool.admit(pool.take()).await, pool.admit(pool.take()).await);
        let mut third = Box::pin(pool.admit(pool.take()));
        assert!(poll_once(&mut third).await.is_none());
        drop(first);
        assert!(poll_once(&mut third).await.is_some());
    }

    /// Polls once.
    async fn poll_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        let polled = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))
        });
        match polled.await {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
