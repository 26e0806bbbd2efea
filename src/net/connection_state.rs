//! The state that a connection's transport and its handlers share.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::body_source::SendQueue;
use super::framing_error::RejectedRequest;

/// The state of one connection.
#[derive(Default)]
pub(super) struct ConnectionState {
    pub(super) outbox: Rc<SendQueue>,
    /// The findings about the heads that are handed to hyper, in their order.
    findings: RefCell<VecDeque<Option<RejectedRequest>>>,
    /// Requests that have come in whole, bodies included.
    received_requests: Cell<u64>,
    /// Requests that were handed to the handler.
    begun_requests: Cell<u64>,
    pub(super) received_bytes: Cell<u64>,
    inside_request: Cell<bool>,
    /// Whether the rest of the request that is coming in is received, but not handed on.
    has_rest: Cell<bool>,
    unflushed: Cell<bool>,
}

impl ConnectionState {
    /// Records the finding about a head: `None` for one that is accepted.
    pub(super) fn report(&self, refusal: Option<RejectedRequest>) {
        self.findings.borrow_mut().push_back(refusal);
    }

    /// The finding about the head of the next request; `None` when it was not judged.
    pub(super) fn next_finding(&self) -> Option<Option<RejectedRequest>> {
        self.findings.borrow_mut().pop_front()
    }

    /// Counts bytes of the request that is coming in.
    pub(super) fn count_received(&self, bytes: usize) {
        let total = self.received_bytes.get() + bytes as u64;
        self.received_bytes.set(total);
    }

    /// Records how many requests have come in whole, whether another one has begun, and whether
    /// the rest of that one is received.
    pub(super) fn received(&self, requests: u64, inside_request: bool, has_rest: bool) {
        self.received_requests.set(requests);
        self.inside_request.set(inside_request);
        self.has_rest.set(has_rest);
    }

    /// Whether a request has come in so far that the next one can be read after it.
    pub(super) fn is_buffered(&self, request: u64) -> bool {
        self.received_requests.get() >= request || self.has_rest.get()
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
    pub(super) fn count_fast_request(&self) {
        self.begin_request();
        self.outbox.count_answer();
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
