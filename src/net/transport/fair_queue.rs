//! Whose turn it is to send: what keeps a worker's long transfers out of the way of
//! everything else on it.
//!
//! A turn takes the worker about a tenth of a millisecond. Were all transfers that may send
//! to do so in one go, a small request that comes in behind hundreds of them would wait for
//! all. So between two looks of the worker at its sockets only one has a turn; the others
//! stand in a line, in the order in which they came. What a look finds is served before the
//! next one of the line.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use super::syscalls::PAGE_BYTES;

/// Bytes sent in one turn: .1 ms on one core. They nearly fill packets of the size that the
/// kernel makes; with 512 KiB a few hundred bytes would be left for one of their own.
const TURN_BYTES: usize = 504 * 1024;

/// The same for one that nobody waits behind: its client is kept busy for longer.
const LONG_TURN_BYTES: usize = 2 * TURN_BYTES;

thread_local! {
    static LINE: FairQueue = FairQueue::new();
}

/// Wakes the task when all others that are ready have had their turn, and the worker has
/// looked for new connections and for sockets that have become ready. A task that wakes
/// itself would be polled again before that, dozens of times.
pub(super) fn next_tick(cx: &mut Context<'_>) {
    let yielded = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(yielded.is_pending(), "the first poll never is the last");
}

/// One connection's turns.
pub(in crate::net) struct SendSlot {
    left_bytes: usize,
    is_ours: bool,
    /// Whether the last turn was used up, so that the next one has to be waited for.
    is_used_up: bool,
    place: Option<Rc<Ticket>>,
}

impl Default for SendSlot {
    fn default() -> Self {
        Self {
            left_bytes: TURN_BYTES,
            is_ours: false,
            is_used_up: false,
            place: None,
        }
    }
}

impl SendSlot {
    /// Waits for a turn of this connection, if it has none. Short answers need none, unless
    /// they have become long ones.
    pub(in crate::net) fn poll(&mut self, cx: &mut Context<'_>, is_long: bool) -> Poll<()> {
        // Were a part of a page sent for its own sake, the next turn would begin within a page
        // and be cut in two again, and so on for the whole file.
        if self.left_bytes < PAGE_BYTES as usize {
            self.end();
            self.is_used_up = true;
        }
        if !self.is_ours && (is_long || self.is_used_up) {
            self.left_bytes = ready!(LINE.with(|line| line.poll_turn(cx, &mut self.place)));
            self.is_ours = true;
            self.is_used_up = false;
        }
        Poll::Ready(())
    }

    /// Bytes that may still be sent.
    pub(super) fn left_bytes(&self) -> usize {
        self.left_bytes
    }

    /// Counts bytes that were sent.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
    }

    /// Leaves the rest of the turn to others.
    pub(in crate::net) fn use_up(&mut self) {
        self.left_bytes = 0;
    }

    /// Ends the turn, or gives back the one that this connection was called up for.
    pub(super) fn end(&mut self) {
        self.left_bytes = TURN_BYTES;
        self.is_ours = false;
        self.give_back();
    }

    fn give_back(&self) {
        if let Some(place) = &self.place
            && place.stands.get() == TicketState::Called
        {
            place.stands.set(TicketState::Outside);
            // Nobody else would move the line. There is none when the worker ends.
            let _ = LINE.try_with(FairQueue::advance_next_tick);
        }
    }
}

impl Drop for SendSlot {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Those of one worker that wait for their turn.
struct FairQueue {
    waiting: RefCell<VecDeque<Rc<Ticket>>>,
    /// Whether a turn was given since the last look.
    is_given: Cell<bool>,
    /// Whether the line moves on after the next look.
    is_moving: Cell<bool>,
    mover: Waker,
}

/// A connection's place in the line.
#[derive(Default)]
struct Ticket {
    stands: Cell<TicketState>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TicketState {
    /// Not in the line.
    #[default]
    Outside,
    /// Waiting.
    InLine,
    /// Called up: the turn is given.
    Called,
}

impl FairQueue {
    fn new() -> Self {
        Self {
            waiting: RefCell::default(),
            is_given: Cell::new(false),
            is_moving: Cell::new(false),
            mover: Waker::from(Arc::new(QueueAdvancer)),
        }
    }

    /// How many bytes the next turn may send, when it is there.
    fn poll_turn(&self, cx: &Context<'_>, place: &mut Option<Rc<Ticket>>) -> Poll<usize> {
        let stands = place
            .as_ref()
            .map_or(TicketState::Outside, |place| place.stands.get());
        if stands == TicketState::Called
            && let Some(place) = place
        {
            place.stands.set(TicketState::Outside);
            self.advance_next_tick();
            return Poll::Ready(self.turn_bytes());
        }
        if stands == TicketState::Outside
            && self.waiting.borrow().is_empty()
            && !self.is_given.replace(true)
        {
            self.advance_next_tick();
            return Poll::Ready(self.turn_bytes());
        }
        let place = place.get_or_insert_default();
        place.waker.replace(Some(cx.waker().clone()));
        if place.stands.replace(TicketState::InLine) == TicketState::Outside {
            self.waiting.borrow_mut().push_back(Rc::clone(place));
            self.advance_next_tick();
        }
        Poll::Pending
    }

    /// How long the turn is that was just given.
    fn turn_bytes(&self) -> usize {
        match self.waiting.borrow().is_empty() {
            true => LONG_TURN_BYTES,
            false => TURN_BYTES,
        }
    }

    fn advance_next_tick(&self) {
        if !self.is_moving.replace(true) {
            next_tick(&mut Context::from_waker(&self.mover));
        }
    }

    /// Calls up the one at the front. It moves the line again, when it comes: who is woken after
    /// a look may not ask for another one.
    fn advance(&self) {
        self.is_moving.set(false);
        self.is_given.set(false);
        loop {
            let Some(place) = self.waiting.borrow_mut().pop_front() else {
                return;
            };
            // Who has gone meanwhile has left its place.
            if Rc::strong_count(&place) > 1 {
                self.is_given.set(true);
                place.stands.set(TicketState::Called);
                let waker = place.waker.take();
                waker.inspect(Waker::wake_by_ref);
                return;
            }
        }
    }
}

/// Moves the line of the worker on which it is woken.
struct QueueAdvancer;

impl Wake for QueueAdvancer {
    fn wake(self: Arc<Self>) {
        // None when the worker ends, and the line with it.
        let _ = LINE.try_with(FairQueue::advance);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::net::transport::syscalls::whole_pages;

    #[test]
    fn a_head_before_a_file_cuts_no_later_turn_in_two() {
        let (mut left, mut position) = (4 * TURN_BYTES as u64 + 100, 0);
        let mut turn = SendSlot::default();
        turn.spend(812);
        while left > 0 {
            if turn.left_bytes() < PAGE_BYTES as usize {
                turn.end();
            }
            let most = turn.left_bytes().min(left as usize);
            let sent = whole_pages(position, most, left);
            assert_eq!(position % PAGE_BYTES, 0);
            (position, left) = (position + sent as u64, left - sent as u64);
            turn.spend(sent);
        }
    }

    /// Runs tasks as a worker does.
    fn on_a_worker(tasks: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, tasks);
    }

    /// A connection that wants to send all the time, and how often it could.
    async fn transfer(turns: Rc<Cell<usize>>) {
        let mut turn = SendSlot::default();
        loop {
            poll_fn(|cx| turn.poll(cx, true)).await;
            turns.set(turns.get() + 1);
            turn.use_up();
        }
    }

    /// Runs connections for as many looks as given; how often each had its turn.
    fn after(looks: usize, connections: usize) -> Vec<usize> {
        let counts: Vec<_> = (0..connections)
            .map(|_| Rc::<Cell<usize>>::default())
            .collect();
        on_a_worker(async {
            for count in &counts {
                tokio::task::spawn_local(transfer(Rc::clone(count)));
            }
            for _ in 0..looks {
                tokio::task::yield_now().await;
            }
        });
        counts.iter().map(|count| count.get()).collect()
    }

    #[test]
    fn between_two_looks_one_has_its_turn() {
        let had = after(50, 100).iter().sum::<usize>();
        assert!((40..=52).contains(&had), "{had}");
    }

    #[test]
    fn turns_go_round() {
        let had = after(500, 100);
        let (least, most) = (had.iter().min().unwrap(), had.iter().max().unwrap());
        // The first in the line had all turns until the others came.
        assert!(*least > 0 && most - least <= 2, "{had:?}");
    }

    #[test]
    fn who_cannot_come_gives_the_turn_back() {
        let count = Rc::<Cell<usize>>::default();
        on_a_worker(async {
            for _ in 0..10 {
                let (mut turn, mut asks) = (SendSlot::default(), true);
                // Called up, it finds that it has nothing to send any more.
                tokio::task::spawn_local(poll_fn(move |cx| {
                    if !std::mem::take(&mut asks) || turn.poll(cx, true).is_ready() {
                        turn.end();
                    }
                    Poll::<()>::Pending
                }));
            }
            tokio::task::spawn_local(transfer(Rc::clone(&count)));
            for _ in 0..30 {
                tokio::task::yield_now().await;
            }
        });
        assert!(count.get() >= 5, "{}", count.get());
    }

    #[test]
    fn who_has_gone_takes_no_turn() {
        let count = Rc::<Cell<usize>>::default();
        on_a_worker(async {
            let gone: Vec<_> = (0..100)
                .map(|_| tokio::task::spawn_local(transfer(Rc::default())))
                .collect();
            tokio::task::spawn_local(transfer(Rc::clone(&count)));
            tokio::task::yield_now().await;
            gone.iter().for_each(|task| task.abort());
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
        assert!(count.get() >= 5, "{}", count.get());
    }
}
