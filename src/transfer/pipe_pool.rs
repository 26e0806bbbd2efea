//! Pool of the process's pipes. It reuses idle pipes and limits their number and pages.
//!
//! The kernel limits the pages of all pipes of an unprivileged user
//! (`fs.pipe-user-pages-soft`, pipe(7)). Above the limit it creates pipes of only two pages,
//! through which a transfer needs more system calls than copying would. The pool stays below the
//! limit; without a free pipe, the caller moves its bytes through memory.

use std::fs;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, getrlimit};

use super::pipe::Pipe;
use crate::metrics;

/// Sizes of pipes, largest first. A pipe of a size is created while the pages of all pipes stay
/// below that size's share of the limit: with many transfers, pipes get smaller before there are
/// none.
const SIZES: [Size; 3] = [
    Size {
        pages: 256,
        part: 2,
    },
    Size { pages: 64, part: 3 },
    Size { pages: 16, part: 4 },
];

/// Denominator of [`Size::part`].
const PARTS: usize = 4;

/// A pipe with fewer pages than this costs more system calls than it saves.
const LEAST_PAGES: usize = 16;

/// Page limit of a process that the kernel does not limit.
const MOST_PAGES: usize = 32 * 1024;

/// One in this many of the process's descriptors may belong to a pipe. A pipe has two.
const DESCRIPTORS_PER_PIPE_DESCRIPTOR: u64 = 8;

/// Capabilities that lift the kernel's limit (linux/capability.h).
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;

struct Size {
    pages: usize,
    part: usize,
}

/// The pipes of the process, or of a test.
#[derive(Debug)]
pub(super) struct PipePool {
    most_pages: usize,
    most_pipes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Empty pipes, by the index of their size in [`SIZES`].
    idle: [Vec<PooledPipe>; SIZES.len()],
    /// Number of pages of all pipes, and number of pipes, those in use included.
    pages: usize,
    pipes: usize,
}

/// A pipe of a pool. [`PipePool::put_back`] returns it; dropping it closes the pipe.
#[derive(Debug)]
pub(super) struct PooledPipe {
    pub(super) pipe: Pipe,
    _quota: PipeQuota,
}

/// A pipe's share of the pool's limits. Dropping it releases the share.
struct PipeQuota {
    pool: &'static PipePool,
    pages: usize,
}

/// The pipes of this process.
pub(super) static PIPES: LazyLock<PipePool> = LazyLock::new(|| {
    let pool = PipePool::new(page_limit(), pipe_limit());
    metrics::pipe_pages_limit(pool.most_pages);
    pool
});

impl PipePool {
    /// Creates a pool of at most `most_pages` and `most_pipes`.
    pub(super) fn new(most_pages: usize, most_pipes: usize) -> Self {
        Self {
            most_pages,
            most_pipes,
            state: Mutex::default(),
        }
    }

    /// Takes an empty pipe, the largest available. Returns `None` if a limit is reached or the
    /// kernel grants too few pages.
    pub(super) fn take(&'static self) -> Option<PooledPipe> {
        let mut state = self.lock();
        let idle = state.idle.iter_mut().find_map(Vec::pop);
        idle.or_else(|| self.make(&mut state))
    }

    /// Returns a pipe to the pool. A pipe with bytes in it is closed instead: the next user would
    /// send them to another client.
    pub(super) fn put_back(&self, pooled: PooledPipe) {
        if pooled.pipe.held_bytes() > 0 {
            return;
        }
        let index = SIZES
            .iter()
            .position(|size| pooled.pipe.pages() >= size.pages);
        let index = index.unwrap_or(SIZES.len() - 1);
        self.lock().idle[index].push(pooled);
    }

    fn make(&'static self, state: &mut State) -> Option<PooledPipe> {
        if state.pipes >= self.most_pipes {
            return None;
        }
        let fits = |size: &&Size| state.pages + size.pages <= self.most_pages / PARTS * size.part;
        let pipe = Pipe::new(SIZES.iter().find(fits)?.pages).ok()?;
        // The kernel grants fewer pages above the user's limit, which other processes of the same
        // user may have used up.
        let pages = pipe.pages();
        if pages < LEAST_PAGES {
            return None;
        }
        state.pages += pages;
        state.pipes += 1;
        metrics::pipe_pages(state.pages);
        let quota = PipeQuota { pool: self, pages };
        Some(PooledPipe {
            pipe,
            _quota: quota,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PipeQuota {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.pages -= self.pages;
        state.pipes -= 1;
        metrics::pipe_pages(state.pages);
    }
}

impl std::fmt::Debug for PipeQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} pages", self.pages)
    }
}

/// Returns the most pages that the pipes of this process may have: half of the user's limit, so
/// that the successor of a reload gets as many.
fn page_limit() -> usize {
    let soft = fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft");
    let soft: Option<usize> = soft.ok().and_then(|text| text.trim().parse().ok());
    match soft {
        // Zero means no limit (pipe(7)).
        Some(pages) if pages > 0 && !is_above_limit() => (pages / 2).min(MOST_PAGES),
        _ => MOST_PAGES,
    }
}

/// Returns true if the kernel does not apply the limit to this process: it has CAP_SYS_RESOURCE
/// or CAP_SYS_ADMIN.
fn is_above_limit() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> CAP_SYS_ADMIN & 1 == 1 || bits >> CAP_SYS_RESOURCE & 1 == 1)
}

/// Returns the most pipes that this process may have, as a share of its descriptors: connections
/// need the rest.
fn pipe_limit() -> usize {
    // `None` means no limit.
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors / DESCRIPTORS_PER_PIPE_DESCRIPTOR / 2).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(most_pages: usize, most_pipes: usize) -> &'static PipePool {
        Box::leak(Box::new(PipePool::new(most_pages, most_pipes)))
    }

    #[test]
    fn pipes_get_smaller_and_pages_stay_below_the_limit() {
        let pool = pool(1024, 1000);
        let pipes: Vec<PooledPipe> = std::iter::from_fn(|| pool.take()).collect();
        let pages: Vec<usize> = pipes.iter().map(|pooled| pooled.pipe.pages()).collect();
        assert!(pages.iter().sum::<usize>() <= 1024, "{pages:?}");
        assert!(pages.iter().all(|pages| *pages >= LEAST_PAGES), "{pages:?}");
        assert!(pages.is_sorted_by(|one, next| one >= next), "{pages:?}");
        assert!(pages.len() >= 16, "{pages:?}");
        let made = pipes.len();
        pipes.into_iter().for_each(|pipe| pool.put_back(pipe));
        let again: Vec<PooledPipe> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(again.len(), made);
        drop(again);
        assert_eq!(pool.lock().pages, 0);
    }

    #[test]
    fn descriptors_limit_the_number_of_pipes() {
        let pool = pool(MOST_PAGES, 2);
        let pipes = (pool.take(), pool.take());
        assert!(pipes.0.is_some() && pipes.1.is_some());
        assert!(pool.take().is_none());
        drop(pipes);
        assert!(pool.take().is_some());
    }

    #[test]
    fn pool_without_pages_has_no_pipe() {
        assert!(pool(0, 1000).take().is_none());
    }
}
