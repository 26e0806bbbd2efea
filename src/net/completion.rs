//! Callback for the end of a response body. The API uses it for the access log and the metrics.

/// A callback that runs once, when a response body ends. It receives the number of bytes that
/// were sent and true if the body was sent completely.
pub struct Completion(Box<dyn FnOnce(u64, bool)>);

impl Completion {
    /// Wraps a function of the bytes sent and of whether that was the complete body.
    pub fn new(callback: impl FnOnce(u64, bool) + 'static) -> Self {
        Self(Box::new(callback))
    }

    pub(super) fn run(self, sent_bytes: u64, complete: bool) {
        (self.0)(sent_bytes, complete);
    }
}
