//! Work that may wait for a disk, off the workers.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// A bounded set of threads for calls that can block: opening a cold file, fsync, rename,
/// reading pages ahead. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BlockingPool {
    handle: Handle,
}

/// Keeps the threads; dropping it lets running calls finish and ends them.
#[derive(Debug)]
pub struct BlockingThreads(Runtime);

impl BlockingThreads {
    /// Makes up to `threads` threads, each when it is needed.
    ///
    /// # Errors
    /// Whatever the system says when it has no descriptors left.
    pub fn start(threads: usize) -> io::Result<Self> {
        // Never driven: only its blocking threads are used, which need no driver.
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(threads.max(1))
            .thread_name("blocking")
            .build()?;
        Ok(Self(runtime))
    }

    /// A handle for those who have work.
    pub fn handle(&self) -> BlockingPool {
        BlockingPool {
            handle: self.0.handle().clone(),
        }
    }
}

impl BlockingPool {
    /// Runs a call that may block, and waits for it without blocking. When the waiting is
    /// given up, the call still runs to its end.
    ///
    /// # Errors
    /// Those of the call; and `Other` when the call panicked or the threads are gone.
    pub async fn run<T, F>(&self, call: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        match self.handle.spawn_blocking(call).await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Starts a call that nobody waits for; a failure is logged.
    pub fn start<F>(&self, call: F)
    where
        F: FnOnce() -> io::Result<()> + Send + 'static,
    {
        self.handle.spawn_blocking(move || {
            if let Err(error) = call() {
                tracing::error!(%error, "work in the background failed");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let threads = BlockingThreads::start(1).unwrap();
        let blocking = threads.handle();
        let caller = Builder::new_current_thread().build().unwrap();
        let panicked = caller.block_on(blocking.run::<(), _>(|| panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(caller.block_on(blocking.run(|| Ok(7))).unwrap(), 7);
    }
}
