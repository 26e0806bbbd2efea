//! The memory that parts may take on their way, all uploads of the process together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit that memory is given out in, so that its numbers fit a semaphore's.
const UNIT_BYTES: u64 = 64 * 1024;

/// Memory that is given out first come, first served. Cheap to clone; clones share it.
///
/// Whoever fills a part takes all of its memory before the first byte: parts that are full
/// leave by themselves, so nobody holds memory that only somebody else's can free.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    free: Arc<Semaphore>,
    most_bytes: u64,
}

/// Memory that was taken; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Taken {
    /// `None` would mean that the memory had been closed, which it never is.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let most_bytes = bytes.max(UNIT_BYTES);
        Self {
            free: Arc::new(Semaphore::new(units(most_bytes) as usize)),
            most_bytes,
        }
    }

    /// All there is: no more can be taken at once.
    pub(super) fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// That much, if it is there now and nobody waits for it.
    pub(super) fn try_take(&self, bytes: u64) -> Option<Taken> {
        let free = Arc::clone(&self.free);
        let permit = free.try_acquire_many_owned(self.units(bytes)).ok()?;
        Some(Taken {
            _permit: Some(permit),
        })
    }

    /// Waits until there is that much.
    pub(super) async fn take(&self, bytes: u64) -> Taken {
        let free = Arc::clone(&self.free);
        Taken {
            _permit: free.acquire_many_owned(self.units(bytes)).await.ok(),
        }
    }

    /// Nobody can wait for more than there is.
    fn units(&self, bytes: u64) -> u32 {
        units(bytes.min(self.most_bytes))
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn more_than_there_is_waits() {
        let memory = Memory::new(1 << 20);
        let first = memory.take(1 << 19).await;
        let second = memory.take(1 << 19).await;
        assert!(memory.try_take(1).is_none());
        assert!(timeout(SHORT, memory.take(1)).await.is_err());
        drop(first);
        assert!(memory.try_take(1 << 19).is_some());
        assert!(timeout(SHORT, memory.take(1 << 19)).await.is_ok());
        drop(second);
        assert!(timeout(SHORT, memory.take(1 << 20)).await.is_ok());
        assert!(timeout(SHORT, memory.take(1 << 40)).await.is_ok());
    }
}
