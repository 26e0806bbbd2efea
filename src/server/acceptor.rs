//! The thread that accepts connections and deals them out to the workers.
//!
//! Workers that accept for themselves (SO_REUSEPORT) get connections by a hash of addresses,
//! which is even only for many of them, and a connection whose worker has something else to
//! do waits for it even when all others are idle. A thread that does nothing but accept can
//! give each to the worker that has fewest, and take back what a busy one has not looked at.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::balance::{Balance, Counted};
use crate::net::ServerState;

/// Wait after an accept that failed because the process has no descriptors left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long a worker may leave a new connection waiting before another gets it. Longer than
/// a worker with many downloads takes from one look around to the next.
const TAKE_BACK_AFTER: Duration = Duration::from_millis(20);

/// A connection for a worker.
pub(super) struct Arrival {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) counted: Counted,
}

/// A connection on its way to a worker, until one takes it.
#[derive(Clone)]
pub(super) struct Handover(Arc<Mutex<Option<Arrival>>>);

/// Where a worker gets its connections from. It ends when no more will come.
pub(super) type Inbox = mpsc::UnboundedReceiver<Handover>;

/// Accepts connections until the drain begins.
pub(super) struct Acceptor {
    balance: Balance,
    inboxes: Vec<mpsc::UnboundedSender<Handover>>,
    /// Handed over and perhaps not taken yet, the oldest first.
    waiting: VecDeque<(Instant, Handover)>,
    /// Connections that may still be served at a time.
    room: Arc<Semaphore>,
}

impl Handover {
    fn new(arrival: Arrival) -> Self {
        Self(Arc::new(Mutex::new(Some(arrival))))
    }

    /// The connection, unless another worker has got it.
    pub(super) fn take(&self) -> Option<Arrival> {
        self.take_if(|_| true)
    }

    fn take_if(&self, wanted: impl FnOnce(&mut Arrival) -> bool) -> Option<Arrival> {
        // Nothing is left half done by a thread that panics here.
        let mut arrival = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrival.take_if(wanted)
    }

    fn is_taken(&self) -> bool {
        let arrival = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrival.is_none()
    }
}

impl Acceptor {
    /// An acceptor for so many workers, and an inbox for each.
    pub(super) fn new(balance: Balance, workers: usize, room: usize) -> (Self, Vec<Inbox>) {
        let (inboxes, receivers) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
        let acceptor = Self {
            balance,
            inboxes,
            waiting: VecDeque::new(),
            room: Arc::new(Semaphore::new(room)),
        };
        (acceptor, receivers)
    }

    /// Accepts until another process does, or none; then takes what the kernel has accepted
    /// on our behalf already, for closing the listener would reset it.
    pub(super) async fn run(
        mut self,
        listener: TcpListener,
        mut phase: watch::Receiver<ServerState>,
    ) {
        loop {
            let now = *phase.borrow_and_update();
            if now >= ServerState::Draining {
                break;
            }
            self.reclaim();
            let late = self.waiting.front().map(|(at, _)| *at + TAKE_BACK_AFTER);
            tokio::select! {
                biased;
                changed = phase.changed() => if changed.is_err() { break },
                (stream, peer, room) = accept(&listener, &self.room), if now == ServerState::Serving => {
                    self.deal(stream, peer, Some(room));
                }
                () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => {}
            }
        }
        if *phase.borrow() == ServerState::Draining {
            // The socket is another process' too, and what waits there is for it.
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Ok((stream, peer))) = listener.poll_accept(&mut context) {
            self.deal(stream, peer, None);
        }
    }

    fn deal(&mut self, stream: TcpStream, peer: SocketAddr, room: Option<OwnedSemaphorePermit>) {
        let counted = self.balance.place(room);
        match stream.into_std() {
            Ok(stream) => self.hand_over(Arrival {
                stream,
                peer,
                counted,
            }),
            Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
        }
    }

    fn hand_over(&mut self, arrival: Arrival) {
        let inbox = &self.inboxes[arrival.counted.worker()];
        let handover = Handover::new(arrival);
        // A worker that is gone takes none; then it is taken back like from a busy one.
        let _ = inbox.send(handover.clone());
        self.waiting.push_back((Instant::now(), handover));
    }

    /// Gives connections that were not taken in time to workers that keep up, if any does.
    fn reclaim(&mut self) {
        let now = Instant::now();
        while let Some((at, handover)) = self.waiting.front() {
            if !handover.is_taken() && now < *at + TAKE_BACK_AFTER {
                return;
            }
            let Some((_, handover)) = self.waiting.pop_front() else {
                return;
            };
            let balance = self.balance.clone();
            match handover.take_if(|arrival| balance.move_on(&mut arrival.counted)) {
                Some(arrival) => self.hand_over(arrival),
                None if handover.is_taken() => {}
                None => self.waiting.push_back((now, handover)),
            }
        }
    }
}

/// Accepts when there is room for one more connection. Waits out a lack of descriptors.
pub(super) async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = Arc::clone(room).acquire_owned().await else {
            // Nobody closes it.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
