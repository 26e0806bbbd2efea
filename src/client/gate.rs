//! The gate before an upload's bytes (Expect: 100-continue, RFC 9110, 10.1.1).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The server has not said yet whether it wants the bytes.
    Closed,
    /// The bytes may go.
    Open,
    /// The server has answered without them.
    Stopped,
}

/// Holds an upload's bytes back until the server asks for them, and stops them for good
/// once it has refused.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Mutex<(State, Option<Waker>)>>);

impl Gate {
    pub(super) fn closed() -> Self {
        Self(Arc::new(Mutex::new((State::Closed, None))))
    }

    /// Lets the bytes go, unless they were stopped.
    pub(super) fn open(&self) {
        let mut gate = self.lock();
        if gate.0 == State::Closed {
            gate.0 = State::Open;
        }
        if let Some(waker) = gate.1.take() {
            waker.wake();
        }
    }

    /// Lets no more bytes go.
    pub(super) fn stop(&self) {
        self.lock().0 = State::Stopped;
    }

    /// Ready while the bytes may go.
    pub(super) fn poll_open(&self, cx: &Context<'_>) -> Poll<()> {
        let mut gate = self.lock();
        if gate.0 == State::Open {
            return Poll::Ready(());
        }
        gate.1 = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, (State, Option<Waker>)> {
        // No code can panic while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_gate_stays_shut() {
        let cx = Context::from_waker(Waker::noop());
        let gate = Gate::closed();
        assert!(gate.poll_open(&cx).is_pending());
        gate.open();
        assert!(gate.poll_open(&cx).is_ready());
        gate.stop();
        gate.open();
        assert!(gate.poll_open(&cx).is_pending());
    }
}
