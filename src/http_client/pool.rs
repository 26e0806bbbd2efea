//! Pool of idle connections. Each thread has its own, because a connection is driven by the
//! runtime of the thread that opened it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use super::target::Target;
use crate::transfer::HttpBody;

/// Sends requests on one connection.
pub(super) type Sender = SendRequest<HttpBody>;

/// Most idle connections to one target on one thread.
const MOST_IDLE: usize = 16;

/// Longest time that a pooled connection may take to become ready after its last response.
const READY_LIMIT: Duration = Duration::from_millis(100);

thread_local! {
    static IDLE: RefCell<HashMap<(u64, Target), Vec<Idle>>> = RefCell::default();
}

struct Idle {
    sender: Sender,
    until: Instant,
}

/// Takes a connection from the pool. It was open when it was last polled, but the server may
/// have closed it since.
pub(super) async fn take(client: u64, target: &Target) -> Option<Sender> {
    let key = (client, target.clone());
    loop {
        let idle = IDLE.with_borrow_mut(|idle| idle.get_mut(&key).and_then(Vec::pop))?;
        if idle.until < Instant::now() {
            // The stack holds older connections below, which have expired as well.
            IDLE.with_borrow_mut(|idle| idle.remove(&key));
            return None;
        }
        // Waits until hyper has ended the previous exchange. Fails if the server has closed the
        // connection meanwhile.
        let mut sender = idle.sender;
        let ready = tokio::time::timeout(READY_LIMIT, sender.ready()).await;
        if matches!(ready, Ok(Ok(()))) {
            return Some(sender);
        }
    }
}

/// A connection in use, with its place in the pool.
pub(super) struct Lease {
    key: (u64, Target),
    keep: Duration,
    sender: Sender,
}

impl Lease {
    pub(super) fn new(client: u64, target: Target, keep: Duration, sender: Sender) -> Self {
        Self {
            key: (client, target),
            keep,
            sender,
        }
    }

    fn return_to_pool(self) {
        if self.sender.is_closed() || self.keep.is_zero() {
            return;
        }
        let idle = Idle {
            sender: self.sender,
            until: Instant::now() + self.keep,
        };
        IDLE.with_borrow_mut(|all| {
            let waiting = all.entry(self.key).or_default();
            if waiting.len() < MOST_IDLE {
                waiting.push(idle);
            }
        });
    }
}

/// A response body. Its connection returns to the pool at the end of the body. If the body is
/// dropped earlier, the connection is closed.
pub(super) struct Pooled {
    body: Incoming,
    lease: Option<Lease>,
}

impl Pooled {
    pub(super) fn new(body: Incoming, lease: Lease) -> Self {
        let mut pooled = Self {
            body,
            lease: Some(lease),
        };
        // A response without a body ends here; its body may never be polled.
        pooled.return_at_end();
        pooled
    }

    fn return_at_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.return_to_pool();
        }
    }
}

impl Body for Pooled {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(None) => {
                if let Some(lease) = self.lease.take() {
                    lease.return_to_pool();
                }
            }
            Poll::Ready(Some(Ok(_))) => self.return_at_end(),
            // A failed connection must not be used again.
            Poll::Ready(Some(Err(_))) => self.lease = None,
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
