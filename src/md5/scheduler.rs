//! Assigns streams to hash threads.
//!
//! Additional lanes are nearly free: with AVX-512 one thread hashes eight streams as fast as two,
//! and sixteen at .5 GB/s each (Zen 4). Streams are therefore kept together on one thread, and
//! another thread is woken only when more streams are ready than there are free lanes. This costs
//! the least CPU time, and slows no client below 4 Gbit/s. Without vector instructions a thread
//! has one lane, and the same rule gives each stream its own thread.
//!
//! A busy thread takes new streams after every step. Hashing is faster than receiving, so it would
//! run with few lanes all the time. If several streams are open, the thread therefore waits
//! for more of them (batching), unless that delays a client: no stream may be finishing, and none
//! may have half its window queued. Sixteen streams with 3 GB/s together cost .36 CPU-seconds per
//! GiB without batching and .16 with it; eight uploads through the whole server cost .35 with a
//! wait of at most 1 ms for half of them, and .25 now.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cpu::Kernels;
use super::lane::{Lane, step};
use super::lanes::MOST_LANES;

/// Longest time that a piece waits for pieces of other streams. Eight uploads with .8 GB/s
/// together deliver a block each in 2.6 ms.
const BATCH_WAIT: Duration = Duration::from_millis(8);

/// Fewest open streams for which pieces wait for each other.
const BATCH_STREAMS: usize = 3;

/// The ready streams, and the hash threads.
#[derive(Debug)]
pub(super) struct Scheduler {
    pub(super) kernels: &'static Kernels,
    state: Mutex<SchedulerState>,
    /// Wakes a parked thread.
    work_ready: Condvar,
    /// Ends the wait of a batching thread.
    batch_ready: Condvar,
    /// Number of streams that were opened and not closed.
    open_streams: AtomicUsize,
}

#[derive(Debug, Default)]
struct SchedulerState {
    ready: VecDeque<Lane>,
    parked: usize,
    /// Threads that were notified and have not woken yet. They count as busy.
    notified: usize,
    busy: usize,
    /// Occupied lanes of busy threads.
    held: usize,
    /// Number of ready streams that the batching thread waits for.
    batching: Option<usize>,
    stopping: bool,
}

impl Scheduler {
    pub(super) fn new(kernels: &'static Kernels) -> Self {
        Self {
            kernels,
            state: Mutex::default(),
            work_ready: Condvar::new(),
            batch_ready: Condvar::new(),
            open_streams: AtomicUsize::new(0),
        }
    }

    /// Counts a stream that was opened.
    pub(super) fn opened(&self) {
        self.open_streams.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a stream that was closed.
    pub(super) fn closed(&self) {
        self.open_streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the number of open streams.
    pub(super) fn open_streams(&self) -> usize {
        self.open_streams.load(Ordering::Relaxed)
    }

    /// Queues a stream for a hash thread.
    pub(super) fn schedule(&self, lane: Lane) {
        let urgent = lane.is_urgent();
        let mut state = self.lock();
        state.ready.push_back(lane);
        if state
            .batching
            .is_some_and(|wanted| urgent || state.ready.len() >= wanted)
        {
            state.batching = None;
            self.batch_ready.notify_all();
        }
        self.wake_worker(&mut state);
    }

    /// Ends the current batching wait, because a stream has become urgent.
    pub(super) fn mark_urgent(&self) {
        if self.lock().batching.take().is_some() {
            self.batch_ready.notify_all();
        }
    }

    /// Ends all threads as soon as no stream is ready.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.work_ready.notify_all();
    }

    /// Hashes streams on this thread until the scheduler stops.
    pub(super) fn serve(&self) {
        let mut worker = HashWorker {
            scheduler: self,
            lanes: Vec::new(),
            reported: 0,
            busy: false,
        };
        while worker.fill() {
            step(self.kernels, &mut worker.lanes);
        }
    }

    /// Wakes a thread if the busy ones have too few free lanes for the ready streams.
    fn wake_worker(&self, state: &mut SchedulerState) {
        // Notified threads count as busy with free lanes, so that a burst of streams wakes only as
        // many threads as it needs.
        let free = (state.busy * self.kernels.width()).saturating_sub(state.held);
        if state.ready.len() > free && state.parked > 0 {
            state.parked -= 1;
            state.notified += 1;
            state.busy += 1;
            self.work_ready.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, SchedulerState> {
        // A poisoned lock is used: no critical section can panic with the fields inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One hash thread and its lanes.
struct HashWorker<'scheduler> {
    scheduler: &'scheduler Scheduler,
    lanes: Vec<Lane>,
    /// This thread's share of `SchedulerState::held`.
    reported: usize,
    busy: bool,
}

impl HashWorker<'_> {
    /// Fills the lanes with ready streams. Waits if there are none. Returns false when the
    /// scheduler stops.
    fn fill(&mut self) -> bool {
        let mut state = self.scheduler.lock();
        self.report(&mut state);
        // Consolidation: a thread with few lanes passes them to the others and parks.
        let mut leaves = self.fits_elsewhere(&state);
        if leaves {
            state.ready.extend(self.lanes.drain(..));
            self.report(&mut state);
        }
        while leaves || (self.lanes.is_empty() && state.ready.is_empty()) {
            leaves = false;
            state = self.park(state);
            if !self.busy {
                return false;
            }
        }
        state = self.batch(state);
        self.take(&mut state);
        self.report(&mut state);
        // More streams may be ready than this thread has lanes.
        self.scheduler.wake_worker(&mut state);
        true
    }

    /// Waits until the thread is notified. Afterwards `busy` is false if the scheduler stops.
    fn park<'state>(
        &mut self,
        mut state: MutexGuard<'state, SchedulerState>,
    ) -> MutexGuard<'state, SchedulerState> {
        if std::mem::take(&mut self.busy) {
            state.busy -= 1;
        }
        state.parked += 1;
        loop {
            if state.notified > 0 {
                state.notified -= 1;
                self.busy = true;
                return state;
            }
            // Ready streams without a busy thread: queued before any thread was parked, or left
            // by a thread that panicked. No thread was notified for them.
            let stranded = state.busy == 0 && !state.ready.is_empty();
            if stranded || state.stopping {
                state.parked -= 1;
                state.busy += usize::from(stranded);
                self.busy = stranded;
                return state;
            }
            state = self
                .scheduler
                .work_ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns true if the other busy threads have free lanes for all streams of this one. Some
    /// lanes must remain free, so that this thread is not woken again at once.
    fn fits_elsewhere(&self, state: &SchedulerState) -> bool {
        let width = self.scheduler.kernels.width();
        let others_lanes = state.busy.saturating_sub(1) * width;
        let few = !self.lanes.is_empty() && self.lanes.len() <= width / 2;
        few && state.held + state.ready.len() <= others_lanes * 3 / 4
    }

    /// Waits for streams of other clients, if that saves CPU time and delays no client.
    fn batch<'state>(
        &mut self,
        mut state: MutexGuard<'state, SchedulerState>,
    ) -> MutexGuard<'state, SchedulerState> {
        let open_streams = self.scheduler.open_streams();
        let wanted = open_streams.min(self.scheduler.kernels.width());
        let present = self.lanes.len() + state.ready.len();
        let pays = wanted >= BATCH_STREAMS && present < wanted && state.batching.is_none();
        // One piece that must not wait ends batching for all, because they run in the same step.
        let may_wait = |lane: &Lane| !lane.has_waited && !lane.is_urgent();
        if !pays || !self.lanes.iter().chain(&state.ready).all(may_wait) {
            return state;
        }
        state.batching = Some(wanted - self.lanes.len());
        let waiting = |state: &mut SchedulerState| state.batching.is_some();
        let waited = self
            .scheduler
            .batch_ready
            .wait_timeout_while(state, BATCH_WAIT, waiting);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            state.batching = None;
        }
        for lane in self.lanes.iter_mut().chain(&mut state.ready) {
            lane.has_waited = true;
        }
        state
    }

    /// Fills the free lanes. If there are too few, streams at the border of a piece give their
    /// lane to the next ready stream (round robin per piece).
    fn take(&mut self, state: &mut SchedulerState) {
        let width = self.scheduler.kernels.width();
        let free = width.saturating_sub(self.lanes.len());
        let mut excess = state.ready.len().saturating_sub(free);
        for lane in &mut self.lanes {
            if excess == 0 || !lane.is_at_border() {
                continue;
            }
            if let Some(next) = state.ready.pop_front() {
                state.ready.push_back(std::mem::replace(lane, next));
                excess -= 1;
            }
        }
        let count = state.ready.len().min(free);
        self.lanes.extend(state.ready.drain(..count));
        debug_assert!(self.lanes.len() <= MOST_LANES);
    }

    /// Updates the shared count of occupied lanes.
    fn report(&mut self, state: &mut SchedulerState) {
        state.held = state.held - self.reported + self.lanes.len();
        self.reported = self.lanes.len();
    }
}

impl Drop for HashWorker<'_> {
    /// Corrects the shared counters after a panic. The lanes are lost; their streams report
    /// [`DigestLost`](super::DigestLost).
    fn drop(&mut self) {
        let mut state = self.scheduler.lock();
        state.held -= self.reported;
        state.busy -= usize::from(self.busy);
    }
}
