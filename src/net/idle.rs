//! Idle connections: when a connection parks (releases its buffers), and when a parked connection
//! is closed.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::connection_state::ConnectionState;

/// Idle time after which a connection releases its buffers. It is longer than the pause between
/// two requests of a series. It is short enough that, of many clients that send one request
/// each, only few hold buffers at a time: memory that was in use at the same time is fragmented
/// afterwards, and most allocators do not return it to the system.
const PARK_AFTER: Duration = Duration::from_millis(100);

/// Measures how long a parked connection has been idle.
///
/// One timer serves the whole life of the connection. It is reset only when it expires, because
/// most requests come long before that.
pub(super) struct IdleTimer {
    limit: Option<Duration>,
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            since: Instant::now(),
            timer: limit.map(|limit| Box::pin(sleep(limit))),
        }
    }

    /// Restarts the measurement.
    pub(super) fn restart(&mut self) {
        self.since = Instant::now();
    }

    /// Returns when the connection has been idle for the whole limit.
    pub(super) async fn expired(&mut self) {
        let (Some(limit), Some(timer)) = (self.limit, self.timer.as_mut()) else {
            return std::future::pending().await;
        };
        loop {
            timer.as_mut().await;
            let deadline = self.since + limit;
            if deadline <= Instant::now() {
                return;
            }
            timer.as_mut().reset(deadline);
        }
    }
}

/// Returns when a connection has been idle for [`PARK_AFTER`].
///
/// It must be polled in the task that serves the connection, after hyper. Only that task changes
/// the state, so no wake-up is needed and no timer runs while there is work.
pub(super) async fn idle(shared: &ConnectionState) {
    let mut timer = pin!(sleep(PARK_AFTER));
    // Since when the connection is idle, and the number of requests at that time.
    let mut idle_since: Option<(Instant, u64)> = None;
    poll_fn(|cx| {
        if !shared.is_idle() {
            idle_since = None;
            return Poll::Pending;
        }
        let requests = shared.received_requests();
        let since = match idle_since {
            Some((since, before)) if before == requests => since,
            // A request came and was answered between two polls: the time starts again.
            _ => idle_since.insert((Instant::now(), requests)).0,
        };
        loop {
            ready!(timer.as_mut().poll(cx));
            let deadline = since + PARK_AFTER;
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    })
    .await;
}
