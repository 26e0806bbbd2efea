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
pub(super) struct Board {
    pub(super) kernels: &'static Kernels,
    crew: Mutex<Crew>,
    /// Wakes a parked thread.
    call: Condvar,
    /// Ends the wait for company.
    company: Condvar,
    /// Streams begun and not ended.
    open_streams: AtomicUsize,
}

#[derive(Debug, Default)]
struct Crew {
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

impl Board {
    pub(super) fn new(kernels: &'static Kernels) -> Self {
        Self {
            kernels,
            crew: Mutex::default(),
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
        let mut crew = self.lock();
        crew.ready.push_back(lane);
        if crew
            .gathering
            .is_some_and(|wanted| urgent || crew.ready.len() >= wanted)
        {
            crew.gathering = None;
            self.company.notify_all();
        }
        self.call_up(&mut crew);
    }

    /// A stream that is ready or under way has become urgent.
    pub(super) fn urge(&self) {
        if self.lock().gathering.take().is_some() {
            self.company.notify_all();
        }
    }

    /// Ends all threads, once nothing is ready.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.call.notify_all();
    }

    /// Serves streams on this thread until the board stops.
    pub(super) fn serve(&self) {
        let mut hand = Hand {
            board: self,
            lanes: Vec::new(),
            reported: 0,
            busy: false,
        };
        while hand.fill() {
            step(self.kernels, &mut hand.lanes);
        }
    }

    /// Calls up a thread if those at work cannot take all that is ready.
    fn call_up(&self, crew: &mut Crew) {
        let free = (crew.busy * self.kernels.width()).saturating_sub(crew.held);
        if crew.ready.len() > free && crew.parked > 0 {
            crew.parked -= 1;
            crew.called += 1;
            crew.busy += 1;
            self.call.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Crew> {
        // Nothing between lock and unlock leaves the parts at odds.
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lanes of one thread.
struct Hand<'board> {
    board: &'board Board,
    lanes: Vec<Lane>,
    /// How many of `Crew::held` are this thread's.
    reported: usize,
    busy: bool,
}

impl Hand<'_> {
    /// Takes up what is ready, waiting for it if there is nothing to go on
    /// with. False when the board stops.
    fn fill(&mut self) -> bool {
        let mut crew = self.board.lock();
        self.report(&mut crew);
        let mut leaves = self.fits_elsewhere(&crew);
        if leaves {
            crew.ready.extend(self.lanes.drain(..));
            self.report(&mut crew);
        }
        while leaves || (self.lanes.is_empty() && crew.ready.is_empty()) {
            leaves = false;
            crew = self.park(crew);
            if !self.busy {
                return false;
            }
        }
        crew = self.gather(crew);
        self.take(&mut crew);
        self.report(&mut crew);
        // More may be ready than this thread can take.
        self.board.call_up(&mut crew);
        true
    }

    /// Sleeps until called. Not busy afterwards means that the board stops.
    fn park<'crew>(&mut self, mut crew: MutexGuard<'crew, Crew>) -> MutexGuard<'crew, Crew> {
        if std::mem::take(&mut self.busy) {
            crew.busy -= 1;
        }
        crew.parked += 1;
        loop {
            if crew.called > 0 {
                crew.called -= 1;
                self.busy = true;
                return crew;
            }
            // Left behind by a thread that panicked, or before any was parked.
            let stranded = crew.busy == 0 && !crew.ready.is_empty();
            if stranded || crew.stopping {
                crew.parked -= 1;
                crew.busy += usize::from(stranded);
                self.busy = stranded;
                return crew;
            }
            crew = self
                .board
                .call
                .wait(crew)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether other threads at work have lanes to spare for all of this one's,
    /// with some left over so that it is not called up again at once.
    fn fits_elsewhere(&self, crew: &Crew) -> bool {
        let width = self.board.kernels.width();
        let others_lanes = crew.busy.saturating_sub(1) * width;
        let few = !self.lanes.is_empty() && self.lanes.len() <= width / 2;
        few && crew.held + crew.ready.len() <= others_lanes * 3 / 4
    }

    /// Waits for company if that pays and harms nobody.
    fn gather<'crew>(&mut self, mut crew: MutexGuard<'crew, Crew>) -> MutexGuard<'crew, Crew> {
        let open_streams = self.board.open_streams();
        let wanted = open_streams.min(self.board.kernels.width());
        let present = self.lanes.len() + crew.ready.len();
        let pays = wanted >= GATHER_STREAMS && present < wanted && crew.gathering.is_none();
        let may_wait = |lane: &Lane| !lane.has_waited && !lane.is_urgent();
        if !pays || !self.lanes.iter().chain(&crew.ready).all(may_wait) {
            return crew;
        }
        crew.gathering = Some(wanted - self.lanes.len());
        let waiting = |crew: &mut Crew| crew.gathering.is_some();
        let waited = self.board.company.wait_timeout_while(crew, GATHER, waiting);
        let (mut crew, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            crew.gathering = None;
        }
        for lane in self.lanes.iter_mut().chain(&mut crew.ready) {
            lane.has_waited = true;
        }
        crew
    }

    /// Fills the free lanes. Where there are too few, streams take turns piece
    /// by piece.
    fn take(&mut self, crew: &mut Crew) {
        let width = self.board.kernels.width();
        let free = width.saturating_sub(self.lanes.len());
        let mut turns = crew.ready.len().saturating_sub(free);
        for lane in &mut self.lanes {
            if turns == 0 || !lane.is_at_border() {
                continue;
            }
            if let Some(next) = crew.ready.pop_front() {
                crew.ready.push_back(std::mem::replace(lane, next));
                turns -= 1;
            }
        }
        let count = crew.ready.len().min(free);
        self.lanes.extend(crew.ready.drain(..count));
        debug_assert!(self.lanes.len() <= MOST_LANES);
    }

    /// Puts right what the crew knows of this thread's lanes.
    fn report(&mut self, crew: &mut Crew) {
        crew.held = crew.held - self.reported + self.lanes.len();
        self.reported = self.lanes.len();
    }
}

impl Drop for Hand<'_> {
    /// Only after a panic is there anything left to put right. The lanes are
    /// lost: who waits for their digests gets an error.
    fn drop(&mut self) {
        let mut crew = self.board.lock();
        crew.held -= self.reported;
        crew.busy -= usize::from(self.busy);
    }
}
