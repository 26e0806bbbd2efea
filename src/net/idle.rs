//! Connections on which nothing happens.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::connection_state::ConnectionState;

/// IdleTimer time after which a connection's buffers are given back: longer than a client takes
/// from one request of a series to the next, and so short that of many clients who ask one
/// after the other only few have buffers at a time. What was in use at once stays in pieces
/// between what is kept, and most allocators do not give it back.
const PARK_AFTER: Duration = Duration::from_millis(100);

/// How long a parked connection has been quiet. One timer for the life of the connection,
/// moved only when it runs out: most requests come long before.
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

    pub(super) fn end(&mut self) {
        self.since = Instant::now();
    }

    pub(super) async fn too_long(&mut self) {
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

/// Returns when a connection has had nothing to do for a while. To be polled in the task that
/// serves it, after what serves it: only there does anything change, so nothing has to be told
/// and no timer runs while there is work.
pub(super) async fn idle(shared: &ConnectionState) {
    let mut timer = pin!(sleep(PARK_AFTER));
    let mut quiet: Option<(Instant, u64)> = None;
    poll_fn(|cx| {
        if !shared.is_idle() {
            quiet = None;
            return Poll::Pending;
        }
        let requests = shared.received_requests();
        let since = match quiet {
            Some((since, before)) if before == requests => since,
            _ => quiet.insert((Instant::now(), requests)).0,
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
