//! Reused buffers for data on their way to a store.
//!
//! A block is aligned so that the kernel can write it to a device without a copy
//! (`O_DIRECT`), of one size so that hash lanes and disk requests are of one size, and goes
//! back to its pool when the last holder (the hash, the disk) lets go of it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use bytes::Bytes;

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
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(Self::LAYOUT) };
        match NonNull::new(memory) {
            Some(memory) => Self(memory),
            None => handle_alloc_error(Self::LAYOUT),
        }
    }

    fn as_slice(&self) -> &[u8] {
        // SAFETY: the allocation has BLOCK_BYTES bytes, zeroed when it was made.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), BLOCK_BYTES) }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr(), BLOCK_BYTES) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with the same layout, and freed once, here.
        unsafe { dealloc(self.0.as_ptr(), Self::LAYOUT) }
    }
}

/// Blocks that wait to be used again. Cheap to clone; clones are the same pool.
#[derive(Clone)]
pub struct BlockPool {
    idle: Arc<Mutex<Vec<Memory>>>,
    most_idle: usize,
}

impl BlockPool {
    /// A pool that keeps at most `most_idle` unused blocks; more are given back to the
    /// system.
    pub fn new(most_idle: usize) -> Self {
        Self {
            idle: Arc::default(),
            most_idle,
        }
    }

    /// An empty block, used before or new.
    pub fn take(&self) -> Block {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        Block {
            memory: Some(idle.unwrap_or_else(Memory::new)),
            filled: 0,
            pool: self.clone(),
        }
    }

    fn put_back(&self, memory: Memory) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most_idle {
            idle.push(memory);
        }
    }
}

impl fmt::Debug for BlockPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockPool")
            .field("most_idle", &self.most_idle)
            .finish_non_exhaustive()
    }
}

/// A block that is being filled.
pub struct Block {
    // Present until dropped.
    memory: Option<Memory>,
    filled: usize,
    pool: BlockPool,
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
        assert_eq!(pool.idle.lock().unwrap().len(), 0);
    }

    #[test]
    fn keeps_no_more_than_it_may() {
        let pool = BlockPool::new(1);
        drop((pool.take(), pool.take()));
        assert_eq!(pool.idle.lock().unwrap().len(), 1);
    }
}
