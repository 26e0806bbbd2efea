//! How many connections each worker has, and which one gets the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::metrics::{OpenConnection, WorkerConnections};

/// The workers by their load. Cheap to clone.
#[derive(Clone)]
pub(super) struct Balance {
    workers: Arc<[Load]>,
    /// Told each time a connection ends.
    ended: Arc<Notify>,
}

struct Load {
    connections: AtomicUsize,
    /// Connections that were taken back from it because it did not look at them in time,
    /// until it looks.
    missed: AtomicUsize,
    gauge: WorkerConnections,
}

/// A connection that counts for its worker, and takes up room, until it is dropped.
pub(super) struct Counted {
    balance: Balance,
    worker: usize,
    open: OpenConnection,
    _room: Option<OwnedSemaphorePermit>,
}

impl Load {
    fn new(worker: usize) -> Self {
        Self {
            connections: AtomicUsize::new(0),
            missed: AtomicUsize::new(0),
            gauge: WorkerConnections::of(worker),
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn keeps_up(&self) -> bool {
        self.missed.load(Ordering::Relaxed) == 0
    }

    fn opens(&self) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.gauge.opens()
    }
}

impl Balance {
    /// So many workers without a connection; at least one.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers.max(1)).map(Load::new).collect(),
            ended: Arc::default(),
        }
    }

    /// Counts a connection for the worker that has fewest, of those that keep up if any does.
    pub(super) fn place(&self, room: Option<OwnedSemaphorePermit>) -> Counted {
        let all = self.workers.iter().enumerate();
        let least = all.min_by_key(|(_, load)| (!load.keeps_up(), load.connections()));
        let worker = least.map_or(0, |(worker, _)| worker);
        Counted {
            balance: self.clone(),
            worker,
            open: self.workers[worker].opens(),
            _room: room,
        }
    }

    /// Counts a connection that its worker has not looked at for another one that keeps up.
    /// Whether there is one.
    pub(super) fn move_on(&self, counted: &mut Counted) -> bool {
        let late = counted.worker;
        let others = self.workers.iter().enumerate();
        let others = others.filter(|(worker, load)| *worker != late && load.keeps_up());
        let Some((worker, load)) = others.min_by_key(|(_, load)| load.connections()) else {
            return false;
        };
        counted.open = load.opens();
        counted.worker = worker;
        self.workers[late].missed.fetch_add(1, Ordering::Relaxed);
        self.workers[late]
            .connections
            .fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// A worker has found that a connection was taken back from it.
    pub(super) fn caught_up(&self, worker: usize) {
        self.workers[worker].missed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections on all workers.
    pub(super) fn connections(&self) -> usize {
        self.workers.iter().map(Load::connections).sum()
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
    /// Which worker's it is.
    pub(super) fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let load = &self.balance.workers[self.worker];
        load.connections.fetch_sub(1, Ordering::Relaxed);
        self.balance.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(balance: &Balance) -> Vec<usize> {
        balance.workers.iter().map(Load::connections).collect()
    }

    #[test]
    fn the_worker_with_fewest_gets_the_next() {
        let balance = Balance::new(4);
        let mut placed: Vec<Counted> = (0..64).map(|_| balance.place(None)).collect();
        assert_eq!(loads(&balance), [16; 4]);
        placed.retain(|counted| counted.worker() != 2);
        placed.extend((0..8).map(|_| balance.place(None)));
        assert_eq!(loads(&balance), [16, 16, 8, 16]);
        drop(placed);
        assert_eq!(balance.connections(), 0);
    }

    #[test]
    fn a_worker_that_does_not_keep_up_gets_no_more() {
        let balance = Balance::new(2);
        let mut late = balance.place(None);
        assert_eq!(late.worker(), 0);
        assert!(balance.move_on(&mut late));
        assert_eq!((late.worker(), loads(&balance)), (1, vec![0, 1]));
        let next = balance.place(None);
        assert_eq!(next.worker(), 1);
        // Nobody is left who would do better.
        assert!(!balance.move_on(&mut late));
        balance.caught_up(0);
        assert_eq!(balance.place(None).worker(), 0);
        drop((late, next));
        assert_eq!(balance.connections(), 0);
    }
}
