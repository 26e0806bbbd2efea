//! Threads for calls that may block on a disk, so that the workers' event loops do not wait.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Handle to a bounded set of threads for blocking calls: opening a file that is not cached,
/// fsync, rename, reading ahead. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BlockingPool {
    handle: Handle,
}

/// Owns the threads. Dropping it waits for running calls and ends the threads.
#[derive(Debug)]
pub struct BlockingThreads(Runtime);

impl BlockingThreads {
    /// Creates a pool of up to `threads` threads. Each starts when it is needed.
    ///
    /// # Errors
    /// Those of building a runtime, such as no free descriptors.
    pub fn start(threads: usize) -> io::Result<Self> {
        // The runtime is never driven: only its blocking threads are used.
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(threads.max(1))
            .thread_name("blocking")
            .build()?;
        Ok(Self(runtime))
    }

    /// Returns a handle.
    pub fn handle(&self) -> BlockingPool {
        BlockingPool {
            handle: self.0.handle().clone(),
        }
    }
}

impl BlockingPool {
    /// Runs a blocking call on a thread of the pool and returns its result. Cancelling the future
    /// does not cancel the call.
    ///
    /// # Errors
    /// Those of the call; `Other` if the call panicked or the pool was dropped.
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

    /// Starts a blocking call without waiting for it. An error is logged.
    pub fn start<F>(&self, call: F)
    where
        F: FnOnce() -> io::Result<()> + Send + 'static,
    {
        self.handle.spawn_blocking(move || {
            if let Err(error) = call() {
                tracing::error!(%error, "background disk operation failed");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_an_error() {
        let threads = BlockingThreads::start(1).unwrap();
        let blocking = threads.handle();
        let caller = Builder::new_current_thread().build().unwrap();
        let panicked = caller.block_on(blocking.run::<(), _>(|| panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(caller.block_on(blocking.run(|| Ok(7))).unwrap(), 7);
    }
}
