//! The auditor: a thread that periodically compares stored data with their MD5.
//!
//! It reads at a bounded rate and past the page cache where possible. It has its own thread because
//! it sleeps and reads synchronously, which must not delay transfers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use super::audit::Audit;
use super::maintenance::Maintenance;
use super::read_rate::ReadRate;
use crate::runtime::{self, ThreadError};

/// Longest wait from the start to the first pass.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// Interval of the check whether the files of damaged images have changed. A repaired file is
/// compared again.
const RECHECK_EVERY: Duration = Duration::from_secs(5);

/// The operator's options of the auditor.
#[derive(Debug, Clone, Copy)]
pub struct AuditOptions {
    /// Time from the start of a pass to the start of the next.
    pub interval: Duration,
    /// Most bytes read per second. Never zero.
    pub rate_bytes: u64,
}

/// The auditor thread. Dropping this ends it.
#[derive(Debug)]
pub struct Auditor {
    ended: Arc<AtomicBool>,
}

impl Auditor {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`ThreadError`] if the system cannot create a thread.
    pub fn start(
        service: Weak<Maintenance>,
        options: AuditOptions,
    ) -> std::result::Result<(Self, JoinHandle<()>), ThreadError> {
        let runtime = runtime::current_thread()?;
        let ended = Arc::new(AtomicBool::new(false));
        let read_rate = ReadRate::new(options.rate_bytes, Arc::clone(&ended));
        let work = move || {
            let passes = run_passes(&service, options.interval, read_rate);
            LocalSet::new().block_on(&runtime, passes);
        };
        Ok((Self { ended }, runtime::spawn("auditor", work)?))
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

async fn run_passes(service: &Weak<Maintenance>, interval: Duration, mut read_rate: ReadRate) {
    let mut audit = Audit::default();
    read_rate.sleep(FIRST_WAIT.min(interval));
    loop {
        let began = Instant::now();
        let Some(current) = upgrade(service, &read_rate) else {
            return;
        };
        audit.run_pass(&current, &mut read_rate).await;
        // Not held while the thread sleeps: the reference would keep the service open.
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

fn upgrade(service: &Weak<Maintenance>, read_rate: &ReadRate) -> Option<Arc<Maintenance>> {
    service.upgrade().filter(|_| !read_rate.is_ended())
}
