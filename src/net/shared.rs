//! What a connection's transport and its handlers both know.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::head_guard::{HeadGuard, Violation};
use super::segment::Outbox;

/// The state of one connection.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) outbox: Rc<Outbox>,
    /// What the guard found, a request a place.
    findings: RefCell<VecDeque<Option<Violation>>>,
    /// Requests that have come in whole, bodies included.
    received_requests: Cell<u64>,
    /// Requests that were handed to the handler.
    begun_requests: Cell<u64>,
    pub(super) received_bytes: Cell<u64>,
    inside_request: Cell<bool>,
    unflushed: Cell<bool>,
}

impl Shared {
    /// What the guard found in a head.
    pub(super) fn report(&self, violation: Option<Violation>) {
        self.findings.borrow_mut().push_back(violation);
    }

    /// What the guard found in the next request's head; `None` when it has not seen the end
    /// of that head, which means that it and hyper disagree.
    pub(super) fn next_finding(&self) -> Option<Option<Violation>> {
        self.findings.borrow_mut().pop_front()
    }

    /// Bytes have come in, and the guard has seen them.
    pub(super) fn received(&self, bytes: usize, guard: &HeadGuard) {
        let total = self.received_bytes.get() + bytes as u64;
        self.received_bytes.set(total);
        self.received_requests.set(guard.finished());
        self.inside_request.set(!guard.is_between());
    }

    /// How many requests have come in whole.
    pub(super) fn received_requests(&self) -> u64 {
        self.received_requests.get()
    }

    /// Counts a request that is handed to the handler: which it is, from 1.
    pub(super) fn begin_request(&self) -> u64 {
        let request = self.begun_requests.get() + 1;
        self.begun_requests.set(request);
        request
    }

    /// A request was answered without hyper.
    pub(super) fn answered_plain(&self) {
        self.next_finding();
        self.begin_request();
        self.outbox.count_answer();
        self.received_bytes.set(0);
    }

    /// Bytes are being sent.
    pub(super) fn writing(&self) {
        self.unflushed.set(true);
    }

    /// Everything that was to be sent is sent.
    pub(super) fn flushed(&self) {
        self.unflushed.set(false);
    }

    /// Whether every request is answered and every answer sent.
    pub(super) fn is_idle(&self) -> bool {
        let (begun, received) = (self.begun_requests.get(), self.received_requests.get());
        !self.inside_request.get()
            && begun == received
            && self.outbox.answered() == begun
            && !self.unflushed.get()
    }
}
