//! Reused buffers for data on their way to a store.
//!
//! A block is aligned so that the kernel can write it to a device without a copy
//! (`O_DIRECT`), of one size so that hash lanes and disk requests are of one size, and goes
//! back to its pool when the last holder (the hash, the disk) lets go of it.
//!
//! A block's memory is a mapping of its own. Memory of an allocator would lie between what
//! others keep, and could not be returned to the system when a crowd of uploads has ended.

use std::alloc::{Layout, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::{fmt, io, mem, ptr};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes in a block: large enough for a disk request, small enough that the pieces an
/// upload has in flight stay in the cache between network, hash and disk.
pub const BLOCK_BYTES: usize = 256 * 1024;

/// What `O_DIRECT` asks of addresses, offsets and lengths on every file system in use.
pub const BLOCK_ALIGNMENT: usize = 4096;

/// Memory of one block; nobody else refers to it.
struct Memory(NonNull<u8>);

// SAFETY: a `Memory` is the sole owner of its allocation, like a `Box<[u8]>`.
unsafe impl Send for Memory {}
// SAFETY: shared access is read-only, through `AsRef` of a frozen block.
unsafe impl Sync for Memory {}

impl Memory {
    const LAYOUT: Layout = match Layout::from_size_align(BLOCK_BYTES, BLOCK_ALIGNMENT) {
        Ok(layout) => layout,
        Err(_) => panic!("a block's size and alignment make no layout"),
    };

    fn new() -> Self {
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping at an address that the kernel chooses. It begins at a page,
        // which is what BLOCK_ALIGNMENT asks for, and is filled with zeros.
        let memory = unsafe { libc::mmap(ptr::null_mut(), BLOCK_BYTES, protection, flags, -1, 0) };
        match NonNull::new(memory.cast::<u8>()) {
            Some(address) if memory != libc::MAP_FAILED => Self(address),
            _ => handle_alloc_error(Self::LAYOUT),
        }
    }

    fn as_slice(&self) -> &[u8] {
        // SAFETY: the mapping has BLOCK_BYTES bytes, zeroed when it was made.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), BLOCK_BYTES) }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), BLOCK_BYTES) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and unmapped once, here.
        unsafe { libc::munmap(self.0.as_ptr().cast(), BLOCK_BYTES) };
    }
}

/// Every pool of the process, for [`release_idle_blocks`].
static POOLS: Mutex<Vec<Weak<Idle>>> = Mutex::new(Vec::new());

/// Blocks that wait to be used again, and room for those on their way. Cheap to clone; clones
/// are the same pool.
#[derive(Clone)]
pub struct BlockPool {
    idle: Arc<Idle>,
    /// One permit for each block that may be on its way to hash and disk.
    room: Arc<Semaphore>,
}

/// The unused blocks of a pool.
struct Idle {
    stack: Mutex<Stack>,
    most: usize,
}

#[derive(Default)]
struct Stack {
    blocks: Vec<Memory>,
    /// The fewest that there were since [`release_idle_blocks`]: so many were not needed.
    fewest: usize,
}

impl BlockPool {
    /// A pool that keeps at most `most_idle` unused blocks; more are given back to the
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
            room: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    /// With a bound for the blocks that [`BlockPool::admit`] lets through at a time: as many as
    /// fit `bytes`, and at least one.
    pub fn with_room(mut self, bytes: usize) -> Self {
        self.room = Arc::new(Semaphore::new((bytes / BLOCK_BYTES).max(1)));
        self
    }

    /// An empty block, used before or new.
    pub fn take(&self) -> Block {
        let memory = {
            let mut stack = self.idle.lock();
            let memory = stack.blocks.pop();
            stack.fewest = stack.fewest.min(stack.blocks.len());
            memory
        };
        Block {
            memory: Some(memory.unwrap_or_else(Memory::new)),
            filled: 0,
            pool: Arc::clone(&self.idle),
            _permit: None,
        }
    }

    /// Freezes a block when there is room for one more on its way. Only for blocks that hash
    /// and disk let go of by themselves: one that waits for its client would hold up others.
    pub async fn admit(&self, mut block: Block) -> Bytes {
        // Fails only when the semaphore is closed, which it never is.
        block._permit = Arc::clone(&self.room).acquire_owned().await.ok();
        block.freeze()
    }
}

impl Idle {
    fn put_back(&self, memory: Memory) {
        let mut stack = self.lock();
        if stack.blocks.len() < self.most {
            stack.blocks.push(memory);
        }
    }

    /// Takes the blocks off that were not needed since the last time.
    fn take_unneeded(&self) -> Vec<Memory> {
        let mut stack = self.lock();
        let unneeded = mem::take(&mut stack.fewest).min(stack.blocks.len());
        let kept = stack.blocks.len() - unneeded;
        stack.fewest = kept;
        stack.blocks.split_off(kept)
    }

    fn lock(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives blocks back to the system that no pool has needed since the last call.
pub fn release_idle_blocks() {
    let pools: Vec<_> = {
        let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).collect()
    };
    for pool in pools {
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
    memory: Option<Memory>,
    filled: usize,
    pool: Arc<Idle>,
    /// Of a block on its way to hash and disk; returned with its memory.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Block {
    /// Takes as much of `data` as there is room for; the rest is returned.
    pub fn fill<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let Some(memory) = self.memory.as_mut() else {
            return data;
        };
        let room = &mut memory.as_mut_slice()[self.filled..];
        let taken = room.len().min(data.len());
        room[..taken].copy_from_slice(&data[..taken]);
        self.filled += taken;
        &data[taken..]
    }

    /// Has the room that is left filled from its front on, by somebody who says how much it
    /// was; zero when there is no room.
    ///
    /// # Errors
    /// What `fill` says.
    pub fn fill_with(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some(memory) = self.memory.as_mut() else {
            return Ok(0);
        };
        let room = &mut memory.as_mut_slice()[self.filled..];
        if room.is_empty() {
            return Ok(0);
        }
        let filled = fill(room)?.min(room.len());
        self.filled += filled;
        Ok(filled)
    }

    /// Bytes in the block.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether there is nothing in it yet.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        self.filled == BLOCK_BYTES
    }

    /// The bytes, to be shared and only read from now on; aligned to [`BLOCK_ALIGNMENT`].
    /// The memory returns to its pool with the last clone.
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
    fn takes_what_fits_and_returns_the_rest() {
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
    fn memory_comes_back_with_the_last_clone() {
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
    fn keeps_no_more_than_it_may() {
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
    async fn blocks_on_their_way_have_room_for_so_many() {
        let pool = BlockPool::new(8).with_room(2 * BLOCK_BYTES);
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
