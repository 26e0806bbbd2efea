//! The thread that accepts connections and distributes them to the workers.
//!
//! With one listening socket per worker (SO_REUSEPORT) the kernel chooses the worker by a hash of
//! the addresses. That is even only for many connections, and a connection waits for its worker
//! while others are idle. A dedicated thread chooses the worker with the fewest connections and
//! reassigns a connection that a busy worker has not accepted in time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::worker_loads::{ConnectionSlot, WorkerLoads};
use crate::net::ServerState;

/// Delay after a failed accept. The usual cause is that the process has no descriptors left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Time after which a connection that its worker has not taken is offered to another one. Longer
/// than a worker with many downloads takes for one pass of its event loop.
const REASSIGN_AFTER: Duration = Duration::from_millis(20);

/// An accepted connection that no worker serves yet.
pub(in crate::server) struct NewConnection {
    pub(in crate::server) stream: std::net::TcpStream,
    pub(in crate::server) peer: SocketAddr,
    pub(in crate::server) slot: ConnectionSlot,
}

/// An offer of a connection to a worker. The worker and the acceptor hold clones of it, and the
/// first of them that takes the connection owns it.
#[derive(Clone)]
pub(in crate::server) struct Offer(Arc<Mutex<Option<NewConnection>>>);

/// The offers to one worker. The channel closes when the server stops accepting.
pub(in crate::server) type OfferReceiver = mpsc::UnboundedReceiver<Offer>;

/// Accepts connections and offers them to the workers.
pub(in crate::server) struct Acceptor {
    loads: WorkerLoads,
    /// A channel for each worker.
    senders: Vec<mpsc::UnboundedSender<Offer>>,
    /// Offers that may not have been taken yet, oldest first, each with the time it was made.
    pending: VecDeque<(Instant, Offer)>,
    /// A permit for each connection that may still be accepted.
    permits: Arc<Semaphore>,
}

impl Offer {
    fn new(connection: NewConnection) -> Self {
        Self(Arc::new(Mutex::new(Some(connection))))
    }

    /// Takes the connection, or returns `None` if it was reassigned to another worker.
    pub(in crate::server) fn take(&self) -> Option<NewConnection> {
        self.take_if(|_| true)
    }

    fn take_if(&self, predicate: impl FnOnce(&mut NewConnection) -> bool) -> Option<NewConnection> {
        // The value is an `Option` that is replaced as a whole, so it is valid even if a thread
        // panicked while it held the lock.
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.take_if(predicate)
    }

    fn is_taken(&self) -> bool {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.is_none()
    }
}

impl Acceptor {
    /// Returns an acceptor for `workers` workers and at most `max_connections` connections, and
    /// the receiver of each worker.
    pub(in crate::server) fn new(
        loads: WorkerLoads,
        workers: usize,
        max_connections: usize,
    ) -> (Self, Vec<OfferReceiver>) {
        let (senders, receivers) = (0..workers).map(|_| mpsc::unbounded_channel()).unzip();
        let acceptor = Self {
            loads,
            senders,
            pending: VecDeque::new(),
            permits: Arc::new(Semaphore::new(max_connections)),
        };
        (acceptor, receivers)
    }

    /// Accepts connections until the server shuts down or a successor has taken over.
    pub(in crate::server) async fn run(
        mut self,
        listener: TcpListener,
        mut phase: watch::Receiver<ServerState>,
    ) {
        loop {
            let now = *phase.borrow_and_update();
            if now >= ServerState::Draining {
                break;
            }
            self.reassign_overdue();
            let overdue_at = self.pending.front().map(|(at, _)| *at + REASSIGN_AFTER);
            tokio::select! {
                biased;
                changed = phase.changed() => if changed.is_err() { break },
                (stream, peer, permit) = accept(&listener, &self.permits), if now == ServerState::Serving => {
                    self.dispatch(stream, peer, Some(permit));
                }
                () = sleep_until(overdue_at.unwrap_or_else(Instant::now)), if overdue_at.is_some() => {}
            }
        }
        if *phase.borrow() == ServerState::Draining {
            // The successor shares the socket and accepts the connections in its queue.
            return;
        }
        // The kernel has completed the handshakes of the connections in the queue. Closing the
        // listener would reset them, so they are served, beyond the limit if need be.
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Ok((stream, peer))) = listener.poll_accept(&mut context) {
            self.dispatch(stream, peer, None);
        }
    }

    fn dispatch(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let slot = self.loads.assign(permit);
        match stream.into_std() {
            Ok(stream) => self.offer(NewConnection { stream, peer, slot }),
            Err(error) => {
                tracing::warn!(%peer, %error, "connection dropped: it cannot be detached from the acceptor's event loop")
            }
        }
    }

    fn offer(&mut self, connection: NewConnection) {
        let sender = &self.senders[connection.slot.worker()];
        let offer = Offer::new(connection);
        // Fails if the worker's thread has ended. The offer then remains pending and is
        // reassigned like that of a busy worker.
        let _ = sender.send(offer.clone());
        self.pending.push_back((Instant::now(), offer));
    }

    /// Offers overdue connections to workers that keep up, if there are any.
    fn reassign_overdue(&mut self) {
        let now = Instant::now();
        while let Some((at, offer)) = self.pending.front() {
            if !offer.is_taken() && now < *at + REASSIGN_AFTER {
                return;
            }
            let Some((_, offer)) = self.pending.pop_front() else {
                return;
            };
            let loads = self.loads.clone();
            // The slot moves while the offer is locked: its worker either takes the connection
            // before that, or finds an empty offer and clears the miss.
            match offer.take_if(|connection| loads.reassign(&mut connection.slot)) {
                Some(connection) => self.offer(connection),
                None if offer.is_taken() => {}
                // Every worker is late. It keeps its place with its own worker.
                None => self.pending.push_back((now, offer)),
            }
        }
    }
}

/// Accepts a connection once a permit is available. Failed accepts are retried.
pub(in crate::server) async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
            // Unreachable: the semaphore is never closed.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                tracing::warn!(%error, "accept failed; trying again");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
