//! Which hash thread takes which streams, and when.
//!
//! Lanes are nearly free: with AVX-512 one thread takes eight streams as fast as
//! two would, and sixteen at .5 GB/s each (Zen 4). So streams are kept together
//! on one thread, and another is called up only when more of them are ready than
//! there are free lanes. That costs the least CPU, and no client speed below
//! 4 Gbit/s each. Without vectors a thread has one lane, and by the same rule
//! each stream gets a thread of its own.
//!
//! A thread at work takes up new streams after every step. As hashing is faster
//! than receiving, it would go on for ever with a few lanes and never be idle.
//! So, where several streams are open and nobody is held up by it, it waits for
//! the others before going on without them. Nobody is held up while no stream is
//! to be finished and none has half its window queued: then time only passes on
//! the hash thread. Sixteen streams that bring 3 GB/s together cost .36 CPU-seconds
//! per GiB without this wait and .16 with it; eight uploads through the whole
//! server, .35 when it waited for half of them for 1 ms at most, and .25 now.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cpu::Kernels;
use super::lane::{Lane, step};
use super::lanes::MOST_LANES;

/// The longest that a piece waits for pieces of other streams, once. Eight uploads that bring
/// .8 GB/s together bring a block each in 2.6 ms.
const GATHER: Duration = Duration::from_millis(8);

/// With fewer open streams than this no piece waits for company.
const GATHER_STREAMS: usize = 3;

/// The streams that are ready, and the threads that may take them.
#[derive(Debug)]
pub(super) struct Scheduler {
    pub(super) kernels: &'static Kernels,
    state: Mutex<SchedulerState>,
    /// Wakes a parked thread.
    call: Condvar,
    /// Ends the wait for company.
    company: Condvar,
    /// Streams begun and not ended.
    open_streams: AtomicUsize,
}

#[derive(Debug, Default)]
struct SchedulerState {
    ready: VecDeque<Lane>,
    parked: usize,
    /// Threads called up that have not woken yet. They count as busy.
    called: usize,
    busy: usize,
    /// Lanes on busy threads.
    held: usize,
    /// A thread waits until so many streams are ready.
    gathering: Option<usize>,
    stopping: bool,
}

impl Scheduler {
    pub(super) fn new(kernels: &'static Kernels) -> Self {
        Self {
            kernels,
            state: Mutex::default(),
            call: Condvar::new(),
            company: Condvar::new(),
            open_streams: AtomicUsize::new(0),
        }
    }

    /// A stream has begun.
    pub(super) fn opened(&self) {
        self.open_streams.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream that had begun has ended.
    pub(super) fn closed(&self) {
        self.open_streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Streams begun and not ended.
    pub(super) fn open_streams(&self) -> usize {
        self.open_streams.load(Ordering::Relaxed)
    }

    /// Hands a stream to whichever thread takes it.
    pub(super) fn schedule(&self, lane: Lane) {
        let urgent = lane.is_urgent();
        let mut state = self.lock();
        state.ready.push_back(lane);
        if state
            .gathering
            .is_some_and(|wanted| urgent || state.ready.len() >= wanted)
        {
            state.gathering = None;
            self.company.notify_all();
        }
        self.wake_worker(&mut state);
    }

    /// A stream that is ready or under way has become urgent.
    pub(super) fn mark_urgent(&self) {
        if self.lock().gathering.take().is_some() {
            self.company.notify_all();
        }
    }

    /// Ends all threads, once nothing is ready.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.call.notify_all();
    }

    /// Serves streams on this thread until the scheduler stops.
    pub(super) fn serve(&self) {
        let mut hand = HashWorker {
            scheduler: self,
            lanes: Vec::new(),
            reported: 0,
            busy: false,
        };
        while hand.fill() {
            step(self.kernels, &mut hand.lanes);
        }
    }

    /// Calls up a thread if those at work cannot take all that is ready.
    fn wake_worker(&self, state: &mut SchedulerState) {
        let free = (state.busy * self.kernels.width()).saturating_sub(state.held);
        if state.ready.len() > free && state.parked > 0 {
            state.parked -= 1;
            state.called += 1;
            state.busy += 1;
            self.call.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, SchedulerState> {
        // Nothing between lock and unlock leaves the parts at odds.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lanes of one thread.
struct HashWorker<'scheduler> {
    scheduler: &'scheduler Scheduler,
    lanes: Vec<Lane>,
    /// How many of `SchedulerState::held` are this thread's.
    reported: usize,
    busy: bool,
}

impl HashWorker<'_> {
    /// Takes up what is ready, waiting for it if there is nothing to go on
    /// with. False when the scheduler stops.
    fn fill(&mut self) -> bool {
        let mut state = self.scheduler.lock();
        self.report(&mut state);
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
        // More may be ready than this thread can take.
        self.scheduler.wake_worker(&mut state);
        true
    }

    /// Sleeps until called. Not busy afterwards means that the scheduler stops.
    fn park<'state>(
        &mut self,
        mut state: MutexGuard<'state, SchedulerState>,
    ) -> MutexGuard<'state, SchedulerState> {
        if std::mem::take(&mut self.busy) {
            state.busy -= 1;
        }
        state.parked += 1;
        loop {
            if state.called > 0 {
                state.called -= 1;
                self.busy = true;
                return state;
            }
            // Left behind by a thread that panicked, or before any was parked.
            let stranded = state.busy == 0 && !state.ready.is_empty();
            if stranded || state.stopping {
                state.parked -= 1;
                state.busy += usize::from(stranded);
                self.busy = stranded;
                return state;
            }
            state = self
                .scheduler
                .call
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether other threads at work have lanes to spare for all of this one's,
    /// with some left over so that it is not called up again at once.
    fn fits_elsewhere(&self, state: &SchedulerState) -> bool {
        let width = self.scheduler.kernels.width();
        let others_lanes = state.busy.saturating_sub(1) * width;
        let few = !self.lanes.is_empty() && self.lanes.len() <= width / 2;
        few && state.held + state.ready.len() <= others_lanes * 3 / 4
    }

    /// Waits for company if that pays and harms nobody.
    fn batch<'state>(
        &mut self,
        mut state: MutexGuard<'state, SchedulerState>,
    ) -> MutexGuard<'state, SchedulerState> {
        let open_streams = self.scheduler.open_streams();
        let wanted = open_streams.min(self.scheduler.kernels.width());
        let present = self.lanes.len() + state.ready.len();
        let pays = wanted >= GATHER_STREAMS && present < wanted && state.gathering.is_none();
        let may_wait = |lane: &Lane| !lane.has_waited && !lane.is_urgent();
        if !pays || !self.lanes.iter().chain(&state.ready).all(may_wait) {
            return state;
        }
        state.gathering = Some(wanted - self.lanes.len());
        let waiting = |state: &mut SchedulerState| state.gathering.is_some();
        let waited = self
            .scheduler
            .company
            .wait_timeout_while(state, GATHER, waiting);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            state.gathering = None;
        }
        for lane in self.lanes.iter_mut().chain(&mut state.ready) {
            lane.has_waited = true;
        }
        state
    }

    /// Fills the free lanes. Where there are too few, streams take turns piece
    /// by piece.
    fn take(&mut self, state: &mut SchedulerState) {
        let width = self.scheduler.kernels.width();
        let free = width.saturating_sub(self.lanes.len());
        let mut turns = state.ready.len().saturating_sub(free);
        for lane in &mut self.lanes {
            if turns == 0 || !lane.is_at_border() {
                continue;
            }
            if let Some(next) = state.ready.pop_front() {
                state.ready.push_back(std::mem::replace(lane, next));
                turns -= 1;
            }
        }
        let count = state.ready.len().min(free);
        self.lanes.extend(state.ready.drain(..count));
        debug_assert!(self.lanes.len() <= MOST_LANES);
    }

    /// Puts right what the state knows of this thread's lanes.
    fn report(&mut self, state: &mut SchedulerState) {
        state.held = state.held - self.reported + self.lanes.len();
        self.reported = self.lanes.len();
    }
}

impl Drop for HashWorker<'_> {
    /// Only after a panic is there anything left to put right. The lanes are
    /// lost: who waits for their digests gets an error.
    fn drop(&mut self) {
        let mut state = self.scheduler.lock();
        state.held -= self.reported;
        state.busy -= usize::from(self.busy);
    }
}
