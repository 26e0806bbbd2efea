//! The end of a process: what is in flight ends first.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval, sleep_until};

use super::balance::Balance;
use crate::log;
use crate::service::ActiveUploads;

/// How often a drain says what it waits for.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The signals that a server answers to. From the moment they are caught none is lost, and
/// none ends the process by itself.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reload: Signal,
}

/// What a signal tells a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// SIGTERM or SIGINT, by its name.
    End(&'static str),
    /// SIGHUP.
    HangUp,
    /// SIGUSR2: to start a successor.
    Reload,
}

impl Signals {
    /// Catches them. To be called in the context of the runtime that waits for them.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reload: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one.
    pub(super) async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End("SIGTERM"),
            _ = self.interrupt.recv() => Told::End("SIGINT"),
            _ = self.hang_up.recv() => Told::HangUp,
            _ = self.reload.recv() => Told::Reload,
        }
    }

    /// Returns when the process is told to end: the name of the signal.
    pub(super) async fn told_to_end(&mut self) -> &'static str {
        loop {
            if let Told::End(signal) = self.told().await {
                return signal;
            }
        }
    }
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// Every connection and every upload came to its end.
    Whole,
    /// The time limit cut some of them. The workers still use the parts of the node.
    Cut,
}

/// Waits until every connection and every upload has ended, but not longer than `limit`.
/// Logs what it waits for.
pub(super) async fn wait(balance: &Balance, uploads: &ActiveUploads, limit: Duration) -> Drained {
    let deadline = Instant::now() + limit;
    let mut report = interval(REPORT_EVERY);
    // The first tick is at once, before anything had a chance to end.
    report.tick().await;
    let ended = async {
        balance.all_ended().await;
        uploads.all_ended().await;
    };
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => return Drained::Whole,
            () = sleep_until(deadline) => {
                say(balance, uploads, "the time to drain is over; what is in flight is cut");
                return Drained::Cut;
            }
            _ = report.tick() => say(balance, uploads, "waiting for what is in flight"),
        }
    }
}

fn say(balance: &Balance, uploads: &ActiveUploads, message: &str) {
    let (connections, uploads) = (balance.connections(), uploads.count());
    tracing::info!(target: log::STARTUP, connections, uploads, "{message}");
}
