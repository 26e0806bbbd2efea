//! What is told when a body is done with.

/// Told once when a body is done with: how many bytes were sent, and whether all were.
pub struct Completion(Box<dyn FnOnce(u64, bool)>);

impl Completion {
    /// Something to be told.
    pub fn new(told: impl FnOnce(u64, bool) + 'static) -> Self {
        Self(Box::new(told))
    }

    pub(super) fn run(self, sent_bytes: u64, complete: bool) {
        (self.0)(sent_bytes, complete);
    }
}
