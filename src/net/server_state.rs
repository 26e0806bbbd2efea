//! Where a process is in its life, as its connections see it.

/// What becomes of connections, old and new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerState {
    /// All are served.
    #[default]
    Serving,
    /// New ones wait in the kernel for this process or another; the others are served.
    Paused,
    /// Another process takes the new ones. The others are served until they have been told
    /// to close: each gets an answer that says so, since closing a quiet one could cross a
    /// request that is on its way.
    Draining,
    /// What is in flight is finished, everything else is closed.
    ShuttingDown,
}

impl ServerState {
    /// Whether an answer has to say that its connection is closed.
    pub(super) fn is_last_answer(self) -> bool {
        self >= Self::Draining
    }
}
