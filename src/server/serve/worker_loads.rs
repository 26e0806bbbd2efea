//! The number of open connections of each worker, and the choice of a worker for the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::metrics::{OpenConnection, WorkerConnections};

/// The load of every worker. Clones share the same counters.
#[derive(Clone)]
pub(in crate::server) struct WorkerLoads {
    workers: Arc<[WorkerLoad]>,
    /// Notified each time a connection ends.
    ended: Arc<Notify>,
}

struct WorkerLoad {
    connections: AtomicUsize,
    /// Connections that were reassigned because this worker did not take them in time, and whose
    /// empty offers it has not received yet. The worker keeps up while this is zero.
    missed: AtomicUsize,
    gauge: WorkerConnections,
}

/// A connection's share of its worker's load and of the connection limit, until it is dropped.
pub(in crate::server) struct ConnectionSlot {
    loads: WorkerLoads,
    worker: usize,
    open: OpenConnection,
    _permit: Option<OwnedSemaphorePermit>,
}

impl WorkerLoad {
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

    fn add_connection(&self) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.gauge.opens()
    }
}

impl WorkerLoads {
    /// Returns the loads of `workers` workers (at least one) without connections.
    pub(in crate::server) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers.max(1)).map(WorkerLoad::new).collect(),
            ended: Arc::default(),
        }
    }

    /// Assigns a connection to the worker with the fewest connections. Workers that keep up are
    /// preferred to those that do not.
    pub(in crate::server) fn assign(&self, permit: Option<OwnedSemaphorePermit>) -> ConnectionSlot {
        let all = self.workers.iter().enumerate();
        let least = all.min_by_key(|(_, load)| (!load.keeps_up(), load.connections()));
        let worker = least.map_or(0, |(worker, _)| worker);
        ConnectionSlot {
            loads: self.clone(),
            worker,
            open: self.workers[worker].add_connection(),
            _permit: permit,
        }
    }

    /// Moves a connection that its worker has not taken to another worker that keeps up. Returns
    /// false, and changes nothing, if there is no such worker.
    pub(in crate::server) fn reassign(&self, slot: &mut ConnectionSlot) -> bool {
        let late = slot.worker;
        let others = self.workers.iter().enumerate();
        let others = others.filter(|(worker, load)| *worker != late && load.keeps_up());
        let Some((worker, load)) = others.min_by_key(|(_, load)| load.connections()) else {
            return false;
        };
        slot.open = load.add_connection();
        slot.worker = worker;
        self.workers[late].missed.fetch_add(1, Ordering::Relaxed);
        self.workers[late]
            .connections
            .fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// Notes that a worker has received the empty offer of a connection that was reassigned.
    pub(in crate::server) fn clear_missed(&self, worker: usize) {
        self.workers[worker].missed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the number of connections of all workers.
    pub(in crate::server) fn connections(&self) -> usize {
        self.workers.iter().map(WorkerLoad::connections).sum()
    }

    /// Waits until no worker has a connection.
    pub(in crate::server) async fn all_ended(&self) {
        loop {
            // Created before the check, so that an end between check and await is not missed.
            let ended = self.ended.notified();
            if self.connections() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl ConnectionSlot {
    /// Returns the number of the worker that the connection is assigned to.
    pub(in crate::server) fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let load = &self.loads.workers[self.worker];
        load.connections.fetch_sub(1, Ordering::Relaxed);
        self.loads.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(loads: &WorkerLoads) -> Vec<usize> {
        loads.workers.iter().map(WorkerLoad::connections).collect()
    }

    #[test]
    fn least_loaded_worker_is_assigned() {
        let loads = WorkerLoads::new(4);
        let mut assigned: Vec<ConnectionSlot> = (0..64).map(|_| loads.assign(None)).collect();
        assert_eq!(connections(&loads), [16; 4]);
        assigned.retain(|slot| slot.worker() != 2);
        assigned.extend((0..8).map(|_| loads.assign(None)));
        assert_eq!(connections(&loads), [16, 16, 8, 16]);
        drop(assigned);
        assert_eq!(loads.connections(), 0);
    }

    #[test]
    fn late_worker_is_avoided_until_it_catches_up() {
        let loads = WorkerLoads::new(2);
        let mut late = loads.assign(None);
        assert_eq!(late.worker(), 0);
        assert!(loads.reassign(&mut late));
        assert_eq!((late.worker(), connections(&loads)), (1, vec![0, 1]));
        let next = loads.assign(None);
        assert_eq!(next.worker(), 1);
        // No other worker keeps up.
        assert!(!loads.reassign(&mut late));
        loads.clear_missed(0);
        assert_eq!(loads.assign(None).worker(), 0);
        drop((late, next));
        assert_eq!(loads.connections(), 0);
    }
}
