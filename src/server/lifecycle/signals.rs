//! The signals that a server and the scrubber daemon handle.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handlers for the signals of a server. Once they are installed, no signal is lost and none
/// terminates the process by its default action.
pub(in crate::server) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reload: Signal,
}

/// A signal that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum SignalEvent {
    /// SIGTERM or SIGINT, with its name.
    Terminate(&'static str),
    /// SIGHUP. Its meaning depends on the pid file; see `RunningServer`.
    HangUp,
    /// SIGUSR2: start a successor.
    Reload,
}

impl Signals {
    /// Installs the handlers. Must be called in the context of the runtime that later awaits
    /// [`Signals::next`].
    ///
    /// # Errors
    /// Those of the system.
    pub(in crate::server) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reload: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next signal.
    pub(in crate::server) async fn next(&mut self) -> SignalEvent {
        tokio::select! {
            _ = self.terminate.recv() => SignalEvent::Terminate("SIGTERM"),
            _ = self.interrupt.recv() => SignalEvent::Terminate("SIGINT"),
            _ = self.hang_up.recv() => SignalEvent::HangUp,
            _ = self.reload.recv() => SignalEvent::Reload,
        }
    }

    /// Waits for SIGTERM or SIGINT and returns its name. Other signals are ignored.
    pub(in crate::server) async fn termination(&mut self) -> &'static str {
        loop {
            if let SignalEvent::Terminate(signal) = self.next().await {
                return signal;
            }
        }
    }
}
