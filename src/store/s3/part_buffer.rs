//! A buffered part of an image: the chunks as they arrived, never copied into one.

use std::sync::Arc;

use bytes::Bytes;

use super::part_memory::MemoryReservation;

/// Chunks below this size are copied: a small slice would keep its whole receive buffer alive,
/// which the accounting of memory does not see.
const COPIED_BELOW_BYTES: usize = 32 * 1024;

/// Bytes that are collected until they suffice for a request.
#[derive(Debug)]
pub(super) struct PartBuffer {
    chunks: Vec<Bytes>,
    len: u64,
    capacity: u64,
    /// Grows with the bytes, and is released when the part is dropped.
    memory: Option<MemoryReservation>,
}

impl PartBuffer {
    /// Creates a part for at most `capacity` bytes, which reserves memory as they arrive.
    pub(super) fn new(capacity: u64, memory: MemoryReservation) -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
            capacity,
            memory: Some(memory),
        }
    }

    /// Creates a part without bytes.
    pub(super) fn empty() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
            capacity: 0,
            memory: None,
        }
    }

    /// Takes from the front of `bytes` as much as fits and has memory now. Returns true if that was
    /// any.
    pub(super) fn try_fill(&mut self, bytes: &mut Bytes) -> bool {
        let wanted = self.wanted(bytes);
        let taken = match &mut self.memory {
            Some(memory) => memory.try_grow(wanted),
            None => 0,
        };
        self.push(bytes, taken);
        taken > 0
    }

    /// Takes from the front of `bytes` as much as fits, and waits until there is memory for some.
    pub(super) async fn fill(&mut self, bytes: &mut Bytes) {
        let wanted = self.wanted(bytes);
        let taken = match &mut self.memory {
            Some(memory) => memory.grow(wanted).await,
            None => 0,
        };
        self.push(bytes, taken);
    }

    fn wanted(&self, bytes: &Bytes) -> u64 {
        (self.capacity - self.len).min(bytes.len() as u64)
    }

    fn push(&mut self, bytes: &mut Bytes, taken: u64) {
        if taken == 0 {
            return;
        }
        // At most the length of the bytes, which fits.
        let chunk = bytes.split_to(taken as usize);
        self.len += taken;
        self.chunks.push(match chunk.len() < COPIED_BELOW_BYTES {
            true => Bytes::copy_from_slice(&chunk),
            false => chunk,
        });
    }

    /// Returns true if the part has its full length.
    pub(super) fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// Returns the number of bytes in the part.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the number of bytes that the part may have.
    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Returns the chunks so far.
    pub(super) fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Ends the growth of the part, so that other parts need not leave memory for it.
    pub(super) fn complete(mut self) -> Arc<Self> {
        if let Some(memory) = &mut self.memory {
            memory.stop_growing();
        }
        Arc::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::part_memory::PartMemory;
    use super::*;

    #[tokio::test]
    async fn a_part_takes_no_more_than_its_capacity() {
        let memory = PartMemory::new(1 << 20);
        let mut part = PartBuffer::new(COPIED_BELOW_BYTES as u64 + 3, memory.part(None));
        let mut bytes = Bytes::from(vec![7; COPIED_BELOW_BYTES]);
        assert!(part.try_fill(&mut bytes));
        assert!(bytes.is_empty() && !part.is_full());
        let mut bytes = Bytes::from_static(b"789abc");
        part.fill(&mut bytes).await;
        assert!(part.is_full());
        assert_eq!(bytes, "abc");
    }
}
