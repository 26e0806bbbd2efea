//! The thread that compares stored data with their MD5 now and then.
//!
//! It reads at a bounded rate, past the page cache where it can, and on a thread of its own, so
//! that transfers do not wait for it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use super::audit::Audit;
use super::read_rate::ReadRate;
use crate::service::Service;

/// Longest wait for the first round after a start.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// How often images that are known to be damaged are looked at: a file that was repaired is
/// compared again.
const RECHECK_EVERY: Duration = Duration::from_secs(5);

/// The operator's options of the comparison.
#[derive(Debug, Clone, Copy)]
pub struct AuditOptions {
    /// From the beginning of one round to that of the next.
    pub interval: Duration,
    /// Most bytes that are read in a second. Never zero.
    pub rate_bytes: u64,
}

/// The thread. Dropping this ends it.
#[derive(Debug)]
pub struct Auditor {
    ended: Arc<AtomicBool>,
}

/// The thread that compares stored data cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("the thread that compares stored data with their checksums cannot be started")]
pub struct AuditorError(#[from] io::Error);

impl Auditor {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`AuditorError`] when the system has no thread left.
    pub fn start(
        service: Weak<Service>,
        options: AuditOptions,
    ) -> std::result::Result<(Self, JoinHandle<()>), AuditorError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let ended = Arc::new(AtomicBool::new(false));
        let read_rate = ReadRate::new(options.rate_bytes, Arc::clone(&ended));
        let work = move || {
            let rounds = rounds(&service, options.interval, read_rate);
            LocalSet::new().block_on(&runtime, rounds);
        };
        let thread = std::thread::Builder::new().name("auditor".to_owned());
        Ok((Self { ended }, thread.spawn(work)?))
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

async fn rounds(service: &Weak<Service>, interval: Duration, mut read_rate: ReadRate) {
    let mut audit = Audit::default();
    read_rate.sleep(FIRST_WAIT.min(interval));
    loop {
        let began = Instant::now();
        let Some(current) = upgrade(service, &read_rate) else {
            return;
        };
        audit.round(&current, &mut read_rate).await;
        drop(current);
        while began.elapsed() < interval {
            read_rate.sleep(RECHECK_EVERY.min(interval.saturating_sub(began.elapsed())));
            let Some(current) = upgrade(service, &read_rate) else {
                return;
            };
            audit.recheck(&current, &mut read_rate).await;
        }
    }
}

fn upgrade(service: &Weak<Service>, read_rate: &ReadRate) -> Option<Arc<Service>> {
    service.upgrade().filter(|_| !read_rate.is_ended())
}
