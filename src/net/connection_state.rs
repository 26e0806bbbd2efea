//! The state of one connection that the transport, below hyper, and the request handlers, above
//! hyper, share. All of them run in one task, so the fields are cells.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::body_source::SendQueue;
use super::framing::RejectedRequest;

/// The state of one connection.
#[derive(Default)]
pub(super) struct ConnectionState {
    pub(super) send_queue: Rc<SendQueue>,
    /// The verdicts about the heads that hyper has been given, in order. `None` is an accepted
    /// head.
    verdicts: RefCell<VecDeque<Option<RejectedRequest>>>,
    /// Requests that were received completely, bodies included.
    received_requests: Cell<u64>,
    /// Requests that were passed to the handler.
    started_requests: Cell<u64>,
    /// Bytes received since [`Connection::take_received_bytes`] was last called.
    ///
    /// [`Connection::take_received_bytes`]: super::connection::Connection::take_received_bytes
    pub(super) received_bytes: Cell<u64>,
    /// True if a request has been received in part.
    inside_request: Cell<bool>,
    /// True if the rest of the current body is in the validator's buffer.
    has_rest: Cell<bool>,
    /// True if hyper has written bytes and not flushed since.
    unflushed: Cell<bool>,
}

impl ConnectionState {
    /// Records the verdict about a head: `None` if it is accepted.
    pub(super) fn push_verdict(&self, rejected: Option<RejectedRequest>) {
        self.verdicts.borrow_mut().push_back(rejected);
    }

    /// Returns the verdict about the head of the next request, or `None` if no head was
    /// validated.
    pub(super) fn next_verdict(&self) -> Option<Option<RejectedRequest>> {
        self.verdicts.borrow_mut().pop_front()
    }

    /// Counts received bytes of the current request.
    pub(super) fn count_received(&self, bytes: usize) {
        let total = self.received_bytes.get() + bytes as u64;
        self.received_bytes.set(total);
    }

    /// Records the number of completely received requests, whether another one has begun, and
    /// whether the rest of that one is buffered.
    pub(super) fn set_received(&self, requests: u64, inside_request: bool, has_rest: bool) {
        self.received_requests.set(requests);
        self.inside_request.set(inside_request);
        self.has_rest.set(has_rest);
    }

    /// Returns true if the rest of a request is received or buffered, so that the connection can
    /// read the next request after it.
    pub(super) fn is_buffered(&self, request: u64) -> bool {
        self.received_requests.get() >= request || self.has_rest.get()
    }

    /// Returns the number of completely received requests.
    pub(super) fn received_requests(&self) -> u64 {
        self.received_requests.get()
    }

    /// Counts a request that is passed to the handler. Returns its number on the connection,
    /// from 1.
    pub(super) fn start_request(&self) -> u64 {
        let request = self.started_requests.get() + 1;
        self.started_requests.set(request);
        request
    }

    /// Counts a request that the fast path answered.
    pub(super) fn count_fast_request(&self) {
        self.start_request();
        self.send_queue.count_finished_body();
    }

    /// Records that bytes are being sent.
    pub(super) fn set_unflushed(&self) {
        self.unflushed.set(true);
    }

    /// Records that all bytes are sent.
    pub(super) fn set_flushed(&self) {
        self.unflushed.set(false);
    }

    /// Returns true if every request is answered and every response sent.
    pub(super) fn is_idle(&self) -> bool {
        let (started, received) = (self.started_requests.get(), self.received_requests.get());
        !self.inside_request.get()
            && started == received
            && self.send_queue.finished_bodies() == started
            && !self.unflushed.get()
    }
}
