//! Fair queue of one worker thread: limits how long bulk transfers delay other connections.
//!
//! At most one bulk transfer sends per event-loop tick. The other transfers wait in a FIFO
//! queue, and events of the tick (new connections, small requests) are handled before the next
//! transfer is scheduled. One slot takes about .1 ms of the worker. Without the queue, a small
//! request would wait for all writable transfers of the worker.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use super::syscalls::PAGE_BYTES;

/// Bytes that one slot may send: .1 ms on one core. The kernel builds packets of up to 64 KiB;
/// 504 KiB nearly fill eight of them, while 512 KiB would leave a few hundred bytes for a ninth.
const SLOT_BYTES: usize = 504 * 1024;

/// Bytes that a slot may send while no other transfer waits. It keeps a fast client busy for
/// longer.
const LONG_SLOT_BYTES: usize = 2 * SLOT_BYTES;

thread_local! {
    static QUEUE: FairQueue = FairQueue::new();
}

/// Wakes the task of `cx` after all other ready tasks have run and the worker has polled for
/// new I/O events.
///
/// `wake_by_ref` alone does not do this: the scheduler would poll the task again, dozens of
/// times, before it polls for I/O. `yield_now` defers the wake-up to after that poll.
pub(super) fn next_tick(cx: &mut Context<'_>) {
    let yielded = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(yielded.is_pending(), "the first poll never completes");
}

/// The send slots of one connection.
pub(in crate::net) struct SendSlot {
    left_bytes: usize,
    /// True if the queue granted the current slot to this connection.
    is_granted: bool,
    /// True if the connection used up a slot, so that it has to queue for the next one.
    is_used_up: bool,
    ticket: Option<Rc<Ticket>>,
}

impl Default for SendSlot {
    fn default() -> Self {
        Self {
            left_bytes: SLOT_BYTES,
            is_granted: false,
            is_used_up: false,
            ticket: None,
        }
    }
}

impl SendSlot {
    /// Waits until this connection may send.
    ///
    /// A short response (`is_long` is false) does not queue unless the connection has already
    /// sent a whole slot.
    pub(in crate::net) fn poll(&mut self, cx: &mut Context<'_>, is_long: bool) -> Poll<()> {
        // A remainder of less than a page is not sent: the next slot would then begin within a
        // page, be split in the same way, and so on for the rest of the file.
        if self.left_bytes < PAGE_BYTES as usize {
            self.end();
            self.is_used_up = true;
        }
        if !self.is_granted && (is_long || self.is_used_up) {
            self.left_bytes = ready!(QUEUE.with(|queue| queue.poll_slot(cx, &mut self.ticket)));
            self.is_granted = true;
            self.is_used_up = false;
        }
        Poll::Ready(())
    }

    /// Returns the number of bytes that the slot still allows.
    pub(super) fn left_bytes(&self) -> usize {
        self.left_bytes
    }

    /// Subtracts bytes that were sent.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
    }

    /// Gives up the rest of the slot.
    pub(in crate::net) fn use_up(&mut self) {
        self.left_bytes = 0;
    }

    /// Ends the slot. A slot that was granted but not yet collected goes to the next in the
    /// queue.
    pub(super) fn end(&mut self) {
        self.left_bytes = SLOT_BYTES;
        self.is_granted = false;
        self.return_grant();
    }

    fn return_grant(&self) {
        if let Some(ticket) = &self.ticket
            && ticket.state.get() == TicketState::Granted
        {
            ticket.state.set(TicketState::Idle);
            // The queue advances only when a grant is collected or returned. The thread-local is
            // already destroyed when this runs at the end of the worker thread.
            let _ = QUEUE.try_with(FairQueue::advance_next_tick);
        }
    }
}

impl Drop for SendSlot {
    fn drop(&mut self) {
        self.return_grant();
    }
}

/// The connections of one worker that wait for a slot.
struct FairQueue {
    waiting: RefCell<VecDeque<Rc<Ticket>>>,
    /// True if a slot was granted in this tick.
    is_granted: Cell<bool>,
    /// True if the queue advances in the next tick.
    is_advancing: Cell<bool>,
    advancer: Waker,
}

/// A connection's entry in the queue.
#[derive(Default)]
struct Ticket {
    state: Cell<TicketState>,
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TicketState {
    /// Not in the queue.
    #[default]
    Idle,
    /// In the queue.
    Queued,
    /// A slot was granted and not yet collected.
    Granted,
}

impl FairQueue {
    fn new() -> Self {
        Self {
            waiting: RefCell::default(),
            is_granted: Cell::new(false),
            is_advancing: Cell::new(false),
            advancer: Waker::from(Arc::new(QueueAdvancer)),
        }
    }

    /// Returns the size of the granted slot in bytes, or queues the connection.
    fn poll_slot(&self, cx: &Context<'_>, ticket: &mut Option<Rc<Ticket>>) -> Poll<usize> {
        let state = ticket
            .as_ref()
            .map_or(TicketState::Idle, |ticket| ticket.state.get());
        if state == TicketState::Granted
            && let Some(ticket) = ticket
        {
            ticket.state.set(TicketState::Idle);
            self.advance_next_tick();
            return Poll::Ready(self.slot_bytes());
        }
        if state == TicketState::Idle
            && self.waiting.borrow().is_empty()
            && !self.is_granted.replace(true)
        {
            self.advance_next_tick();
            return Poll::Ready(self.slot_bytes());
        }
        let ticket = ticket.get_or_insert_default();
        ticket.waker.replace(Some(cx.waker().clone()));
        if ticket.state.replace(TicketState::Queued) == TicketState::Idle {
            self.waiting.borrow_mut().push_back(Rc::clone(ticket));
            self.advance_next_tick();
        }
        Poll::Pending
    }

    /// Returns the size of the slot that was just granted.
    fn slot_bytes(&self) -> usize {
        match self.waiting.borrow().is_empty() {
            true => LONG_SLOT_BYTES,
            false => SLOT_BYTES,
        }
    }

    fn advance_next_tick(&self) {
        if !self.is_advancing.replace(true) {
            next_tick(&mut Context::from_waker(&self.advancer));
        }
    }

    /// Grants a slot to the front of the queue.
    ///
    /// This runs as a deferred wake-up, where a second deferral is not allowed. The queue
    /// therefore advances again only when the connection collects or returns its grant.
    fn advance(&self) {
        self.is_advancing.set(false);
        self.is_granted.set(false);
        loop {
            let Some(ticket) = self.waiting.borrow_mut().pop_front() else {
                return;
            };
            // A connection that was dropped while it waited leaves only the queue's reference.
            if Rc::strong_count(&ticket) > 1 {
                self.is_granted.set(true);
                ticket.state.set(TicketState::Granted);
                let waker = ticket.waker.take();
                waker.inspect(Waker::wake_by_ref);
                return;
            }
        }
    }
}

/// Waker that advances the queue of the worker thread on which it is woken.
struct QueueAdvancer;

impl Wake for QueueAdvancer {
    fn wake(self: Arc<Self>) {
        // Fails only when the worker thread ends, and its queue with it.
        let _ = QUEUE.try_with(FairQueue::advance);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::net::transport::syscalls::whole_pages;

    #[test]
    fn slots_after_a_response_head_begin_at_page_borders() {
        let (mut left, mut position) = (4 * SLOT_BYTES as u64 + 100, 0);
        let mut slot = SendSlot::default();
        slot.spend(812);
        while left > 0 {
            if slot.left_bytes() < PAGE_BYTES as usize {
                slot.end();
            }
            let most = slot.left_bytes().min(left as usize);
            let sent = whole_pages(position, most, left);
            assert_eq!(position % PAGE_BYTES, 0);
            (position, left) = (position + sent as u64, left - sent as u64);
            slot.spend(sent);
        }
    }

    /// Runs tasks on a runtime like that of a worker.
    fn on_a_worker(tasks: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, tasks);
    }

    /// A connection that always has bytes to send. Counts its slots.
    async fn transfer(slots: Rc<Cell<usize>>) {
        let mut slot = SendSlot::default();
        loop {
            poll_fn(|cx| slot.poll(cx, true)).await;
            slots.set(slots.get() + 1);
            slot.use_up();
        }
    }

    /// Runs connections for a number of ticks. Returns the number of slots of each.
    fn slots_after(ticks: usize, connections: usize) -> Vec<usize> {
        let counts: Vec<_> = (0..connections)
            .map(|_| Rc::<Cell<usize>>::default())
            .collect();
        on_a_worker(async {
            for count in &counts {
                tokio::task::spawn_local(transfer(Rc::clone(count)));
            }
            for _ in 0..ticks {
                tokio::task::yield_now().await;
            }
        });
        counts.iter().map(|count| count.get()).collect()
    }

    #[test]
    fn one_slot_is_granted_per_tick() {
        let slots = slots_after(50, 100).iter().sum::<usize>();
        assert!((40..=52).contains(&slots), "{slots}");
    }

    #[test]
    fn slots_are_granted_in_fifo_order() {
        let slots = slots_after(500, 100);
        let (least, most) = (slots.iter().min().unwrap(), slots.iter().max().unwrap());
        // The first connection has all slots until the others queue.
        assert!(*least > 0 && most - least <= 2, "{slots:?}");
    }

    #[test]
    fn uncollected_grant_goes_to_the_next_connection() {
        let count = Rc::<Cell<usize>>::default();
        on_a_worker(async {
            for _ in 0..10 {
                let (mut slot, mut asks) = (SendSlot::default(), true);
                // When its slot is granted, this connection has nothing to send any more.
                tokio::task::spawn_local(poll_fn(move |cx| {
                    if !std::mem::take(&mut asks) || slot.poll(cx, true).is_ready() {
                        slot.end();
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
    fn dropped_connection_takes_no_slot() {
        let count = Rc::<Cell<usize>>::default();
        on_a_worker(async {
            let dropped: Vec<_> = (0..100)
                .map(|_| tokio::task::spawn_local(transfer(Rc::default())))
                .collect();
            tokio::task::spawn_local(transfer(Rc::clone(&count)));
            tokio::task::yield_now().await;
            dropped.iter().for_each(|task| task.abort());
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
        assert!(count.get() >= 5, "{}", count.get());
    }
}
