//! Spreading connections over the workers.
//!
//! The kernel spreads new connections by a hash of their addresses, which is even only for
//! many of them: of a few dozen long downloads one worker may get twice its share. So each
//! worker counts its connections, and one that has clearly more than another hands a new
//! one over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

use crate::metrics::{self, OpenConnection};

/// How many more connections a worker may have than the least busy one. Below this, moving
/// one to another core costs more than it evens out.
const TOLERANCE: usize = 2;

/// An accepted connection on its way to another worker.
pub(super) struct Handover {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) counted: Counted,
}

/// The workers, as each of them sees the others. Cheap to clone.
#[derive(Clone)]
pub(super) struct Balance {
    workers: Arc<[Peer]>,
    /// Told each time a connection ends.
    ended: Arc<Notify>,
}

struct Peer {
    connections: AtomicUsize,
    inbox: mpsc::UnboundedSender<Handover>,
}

/// A connection that counts for its worker, and takes up room, until it is dropped.
pub(super) struct Counted {
    balance: Balance,
    worker: usize,
    _open: OpenConnection,
    _room: Option<OwnedSemaphorePermit>,
}

impl Balance {
    /// So many workers, and an inbox for each.
    pub(super) fn new(workers: usize) -> (Self, Vec<mpsc::UnboundedReceiver<Handover>>) {
        let (peers, inboxes) = (0..workers)
            .map(|_| {
                let (inbox, receiver) = mpsc::unbounded_channel();
                let connections = AtomicUsize::new(0);
                (Peer { connections, inbox }, receiver)
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let balance = Self {
            workers: peers.into(),
            ended: Arc::default(),
        };
        (balance, inboxes)
    }

    /// Counts a new connection for the worker that should have it.
    pub(super) fn place(&self, here: usize, room: Option<OwnedSemaphorePermit>) -> Counted {
        let load = |worker: &Peer| worker.connections.load(Ordering::Relaxed);
        let own = load(&self.workers[here]);
        let loads = self.workers.iter().map(load).enumerate();
        match loads.min_by_key(|(_, load)| *load) {
            Some((there, least)) if own >= least + TOLERANCE => self.count(there, room),
            _ => self.count(here, room),
        }
    }

    /// Counts a connection for this worker, however many it has.
    pub(super) fn keep(&self, here: usize) -> Counted {
        self.count(here, None)
    }

    fn count(&self, worker: usize, room: Option<OwnedSemaphorePermit>) -> Counted {
        let connections = &self.workers[worker].connections;
        connections.fetch_add(1, Ordering::Relaxed);
        Counted {
            balance: self.clone(),
            worker,
            _open: metrics::connection_opens(),
            _room: room,
        }
    }

    /// Gives a connection to the worker that it was placed with.
    pub(super) fn hand_over(&self, connection: Handover) {
        let inbox = &self.workers[connection.counted.worker].inbox;
        // A worker that is gone wants no connections; dropping this one closes it.
        let _ = inbox.send(connection);
    }

    /// Connections on all workers.
    pub(super) fn connections(&self) -> usize {
        let load = |worker: &Peer| worker.connections.load(Ordering::Relaxed);
        self.workers.iter().map(load).sum()
    }

    /// Waits until there are none.
    pub(super) async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.connections() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Counted {
    /// Whether it is this worker's.
    pub(super) fn is_of(&self, worker: usize) -> bool {
        self.worker == worker
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let connections = &self.balance.workers[self.worker].connections;
        connections.fetch_sub(1, Ordering::Relaxed);
        self.balance.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_with_more_hands_over() {
        let (balance, _inboxes) = Balance::new(4);
        let placed: Vec<Counted> = (0..64).map(|_| balance.place(0, None)).collect();
        for worker in &*balance.workers {
            let load = worker.connections.load(Ordering::Relaxed);
            assert!((14..=18).contains(&load), "{load}");
        }
        drop(placed);
        assert_eq!(balance.connections(), 0);
    }
}
