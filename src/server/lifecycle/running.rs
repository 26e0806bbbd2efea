//! The main thread's loop of a server that accepts connections, and its shutdown.
//!
//! `run` creates a [`RunningServer`] when every thread has started. Its loop handles signals
//! until the process ends in one of two ways: a termination signal drains it, or a reload hands
//! it over to a successor and then drains it.

use std::thread::JoinHandle;
use std::time::Duration;

use socket2::Socket;
use tokio::sync::watch;
use uuid::Uuid;

use super::drain::{DrainOutcome, drain};
use super::malloc_trim::HeapTrimmer;
use super::reload::{self, ProgramArgs, ReloadError};
use super::sd_notify::SdNotify;
use super::signals::{SignalEvent, Signals};
use crate::log;
use crate::metrics;
use crate::net::ServerState;
use crate::registry::RelayDone;
use crate::server::compose::app::App;
use crate::server::compose::policy_files;
use crate::server::pid_file::OwnPidFile;
use crate::server::serve::worker_loads::WorkerLoads;
use crate::server::start_error::StartError;

/// Interval of the upkeep of histograms and of freed memory.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The state that the main thread owns while the workers serve.
pub(in crate::server) struct RunningServer {
    pub(in crate::server) app: App,
    pub(in crate::server) loads: WorkerLoads,
    /// The workers and the acceptor.
    pub(in crate::server) workers: Vec<JoinHandle<()>>,
    pub(in crate::server) signals: Signals,
    pub(in crate::server) phase: watch::Sender<ServerState>,
    /// Duplicates of the listening sockets, which a successor inherits. While one is open, the
    /// kernel completes handshakes for it, so they are closed when the server stops accepting.
    pub(in crate::server) listeners: Vec<Socket>,
    pub(in crate::server) program_args: ProgramArgs,
    pub(in crate::server) sd_notify: SdNotify,
    pub(in crate::server) pid_file: OwnPidFile,
    /// Set until the predecessor has ended, if there was one.
    pub(in crate::server) predecessor: Option<DrainingPredecessor>,
}

/// The process that handed over to this one and still finishes its transfers.
pub(in crate::server) struct DrainingPredecessor {
    /// Uploads that continue there and in its own predecessors.
    pub(in crate::server) uploads: Vec<Uuid>,
    /// Resolves when the process has ended.
    pub(in crate::server) end: RelayDone,
}

/// An event that the loop handles.
enum Event {
    ReloadPolicy,
    Reload,
    /// Shut down, for the named signal.
    ShutDown(&'static str),
    PredecessorEnded,
}

impl RunningServer {
    /// Handles signals until the server has drained, either for a termination signal or because
    /// a successor has taken over.
    ///
    /// The components of the server are not dropped here: dropping them joins threads, which a
    /// task must not do. Call [`RunningServer::close`] afterwards, outside the runtime.
    ///
    /// # Errors
    /// [`StartError::TakeBack`] when the registry cannot be opened again after a failed reload.
    pub(in crate::server) async fn run(&mut self) -> Result<DrainOutcome, StartError> {
        loop {
            match self.next_event().await {
                Event::ReloadPolicy => {
                    policy_files::reload(&self.app.config.rules, &self.app.catalog);
                }
                Event::PredecessorEnded => self.recover().await,
                Event::ShutDown(signal) => return Ok(self.shut_down(signal).await),
                Event::Reload => {
                    if self.reload().await? {
                        return Ok(self.drain_after_handover().await);
                    }
                }
            }
        }
    }

    /// Joins the threads and closes the components. After a drain that timed out the workers
    /// still use the components, so both are left to the end of the process.
    pub(in crate::server) fn close(self, drained: DrainOutcome) {
        let Self {
            app,
            workers,
            pid_file,
            ..
        } = self;
        drop(pid_file);
        if drained == DrainOutcome::TimedOut {
            std::mem::forget(app);
            return;
        }
        for worker in workers {
            // A worker that panicked has logged the reason.
            let _ = worker.join();
        }
        tracing::info!(target: log::STARTUP, "shut down: every request was completed");
        app.close();
    }

    async fn next_event(&mut self) -> Event {
        let predecessor_ended = ended(&mut self.predecessor);
        tokio::select! {
            event = self.signals.next() => match event {
                SignalEvent::Terminate(signal) => Event::ShutDown(signal),
                SignalEvent::Reload => Event::Reload,
                // Glance's own glance-control sends SIGHUP both to reload and to end a server.
                // It removes the pid file before the latter, so the file decides. A server
                // without a pid file is not run by glance-control: SIGHUP only rereads files.
                SignalEvent::HangUp => match self.pid_file.names_us() {
                    None => Event::ReloadPolicy,
                    Some(true) => Event::Reload,
                    Some(false) => Event::ShutDown("SIGHUP without a pid file"),
                },
            },
            () = predecessor_ended => Event::PredecessorEnded,
            never = upkeep() => never,
        }
    }

    /// Cleans up after uploads that the predecessor did not finish. A registry server has none.
    async fn recover(&mut self) {
        self.predecessor = None;
        let Some(service) = &self.app.service else {
            tracing::info!(target: log::STARTUP, "the previous process has ended");
            return;
        };
        let active_uploads = &self.app.active_uploads;
        let maintenance = service.maintenance();
        let recovered = maintenance.recover(|upload| active_uploads.has(upload));
        match recovered.await {
            Ok(recovered) => tracing::info!(
                target: log::STARTUP,
                interrupted_uploads = recovered.interrupted_uploads,
                watched_uploads = recovered.watched_uploads,
                "the previous process has ended"
            ),
            Err(error) => tracing::error!(?error, "cleanup after the previous process failed"),
        }
    }

    /// Starts a successor and hands over to it. Returns true if the successor serves now.
    async fn reload(&mut self) -> Result<bool, StartError> {
        tracing::info!(target: log::STARTUP, "reload: starting a successor");
        self.sd_notify.reloading();
        // Uploads of the predecessor are not those of this process, but the successor must not
        // clean them up either.
        let uploads = self
            .predecessor
            .as_ref()
            .map(|before| before.uploads.clone());
        let handed_over = reload::hand_over(
            &self.app,
            &self.program_args,
            &self.listeners,
            &self.phase,
            uploads.unwrap_or_default(),
        );
        match handed_over.await {
            Ok(pid) => {
                self.sd_notify.replaced_by(pid);
                tracing::info!(target: log::STARTUP, successor = pid, "reload: handed over");
                Ok(true)
            }
            Err(ReloadError::TakeBack(error)) => Err(error),
            Err(error) => {
                self.sd_notify.ready();
                tracing::error!("reload failed, this process continues: {error}");
                Ok(false)
            }
        }
    }

    /// Finishes the transfers of this process after a successor has taken over, within
    /// `reload_timeout`, or within `drain_timeout` of a termination signal.
    async fn drain_after_handover(&mut self) -> DrainOutcome {
        self.listeners.clear();
        if let Some(scrubber) = &self.app.scrubber {
            // The successor scrubs now.
            scrubber.end();
        }
        let limit = self.app.config.listen.reload_timeout;
        let active_uploads = &self.app.active_uploads;
        let end = async {
            let drained = drain(&self.loads, active_uploads, limit).await;
            // Its registry requests are relayed through this process, which therefore outlives
            // its predecessor.
            if self.predecessor.is_some() {
                ended(&mut self.predecessor).await;
            }
            drained
        };
        let signal = tokio::select! {
            drained = end => return drained,
            signal = self.signals.termination() => signal,
            never = upkeep() => never,
        };
        self.stop_and_drain(signal).await
    }

    async fn shut_down(&mut self, signal: &'static str) -> DrainOutcome {
        self.sd_notify
            .stopping(self.app.config.listen.drain_timeout);
        self.stop_and_drain(signal).await
    }

    async fn stop_and_drain(&mut self, signal: &'static str) -> DrainOutcome {
        tracing::info!(target: log::STARTUP, "{signal}: shutting down, no longer accepting");
        self.app.health.begin_drain();
        self.listeners.clear();
        self.phase.send_replace(ServerState::ShuttingDown);
        let limit = self.app.config.listen.drain_timeout;
        drain(&self.loads, &self.app.active_uploads, limit).await
    }
}

/// Waits until the predecessor has ended; never returns if there is none.
async fn ended(predecessor: &mut Option<DrainingPredecessor>) {
    match predecessor {
        // The relay drops the sender and never sends a value: an error is the normal end.
        Some(predecessor) => drop((&mut predecessor.end).await),
        None => std::future::pending().await,
    }
}

/// Keeps metrics and memory in shape for as long as it is polled.
async fn upkeep<T>() -> T {
    let mut heap = HeapTrimmer::default();
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        metrics::upkeep();
        heap.trim_if_worthwhile();
    }
}
