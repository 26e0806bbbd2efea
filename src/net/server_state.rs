//! The state of the server process, as listeners and connections see it. `server` changes it
//! during a reload and at the end of the process.

/// Determines how new and existing connections are treated. The variants are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerState {
    /// New and existing connections are served.
    #[default]
    Serving,
    /// During a reload: new connections wait in the kernel's backlog for this process or its
    /// successor; existing ones are served.
    Paused,
    /// After a reload: the successor accepts new connections. Each existing connection is served
    /// until it has received a response with `Connection: close`. An idle one is not closed
    /// at once, because the client may be sending a request at that moment.
    Draining,
    /// Requests in flight are finished; all other connections are closed.
    ShuttingDown,
}

impl ServerState {
    /// Returns true if every response has to close its connection.
    pub(super) fn closes_connections(self) -> bool {
        self >= Self::Draining
    }
}
