//! A server from its first request to its last.

use std::thread::JoinHandle;
use std::time::Duration;

use socket2::Socket;
use tokio::sync::watch;
use uuid::Uuid;

use super::app::App;
use super::balance::Balance;
use super::drain::{self, Drained, Signals, Told};
use super::memory::Memory;
use super::pid_file::PidFile;
use super::reload::{self, Origin, ReloadError};
use super::rules;
use super::start_error::StartError;
use super::supervisor::Supervisor;
use crate::log;
use crate::metrics;
use crate::net::ServerState;
use crate::registry::RelayDone;

/// How often histograms are brought into shape, and freed memory is looked after.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What the main thread keeps while the workers serve.
pub(super) struct Life {
    pub(super) app: App,
    pub(super) balance: Balance,
    pub(super) workers: Vec<JoinHandle<()>>,
    pub(super) signals: Signals,
    pub(super) phase: watch::Sender<ServerState>,
    /// Ours too as long as we accept: a successor gets them.
    pub(super) listeners: Vec<Socket>,
    pub(super) origin: Origin,
    pub(super) supervisor: Supervisor,
    pub(super) pid_file: PidFile,
    pub(super) before: Option<Before>,
}

/// The process that handed over to this one and has not ended yet.
pub(super) struct Before {
    pub(super) uploads: Vec<Uuid>,
    pub(super) end: RelayDone,
}

/// What is to be done next.
enum Next {
    Rules,
    Reload,
    End(&'static str),
    /// The process before has ended.
    Alone,
}

impl Life {
    /// Serves until a signal or until a successor has taken over, then drains.
    ///
    /// The parts of the node stay with the caller: dropping them waits for threads, which no
    /// task of a runtime may do.
    ///
    /// # Errors
    /// When the registry cannot be opened again after a reload that failed.
    pub(super) async fn live(&mut self) -> Result<Drained, StartError> {
        loop {
            match self.next().await {
                Next::Rules => rules::reload(&self.app.config.rules, &self.app.service),
                Next::Alone => self.recover().await,
                Next::End(signal) => return Ok(self.end(signal).await),
                Next::Reload => {
                    if self.reload().await? {
                        return Ok(self.leave().await);
                    }
                }
            }
        }
    }

    /// Closes the parts of the node, or leaves them to the end of the process while the
    /// workers still use them.
    pub(super) fn close(self, drained: Drained) {
        let Self {
            app,
            workers,
            pid_file,
            ..
        } = self;
        drop(pid_file);
        if drained == Drained::Cut {
            std::mem::forget(app);
            return;
        }
        for worker in workers {
            // A worker that panicked has logged the reason.
            let _ = worker.join();
        }
        tracing::info!(target: log::STARTUP, "ended; nothing was cut");
        app.close();
    }

    async fn next(&mut self) -> Next {
        let alone = ended(&mut self.before);
        tokio::select! {
            told = self.signals.told() => match told {
                Told::End(signal) => Next::End(signal),
                Told::Reload => Next::Reload,
                Told::HangUp => match self.pid_file.names_us() {
                    None => Next::Rules,
                    Some(true) => Next::Reload,
                    Some(false) => Next::End("SIGHUP, and the pid file is gone"),
                },
            },
            () = alone => Next::Alone,
            () = look_after() => Next::End("nothing"),
        }
    }

    /// Ends the uploads that the process before has left unfinished. A registry server has
    /// none: there this changes nothing.
    async fn recover(&mut self) {
        self.before = None;
        let active_uploads = self.app.service.active_uploads();
        let recovered = self
            .app
            .service
            .recover(|upload| active_uploads.has(upload));
        match recovered.await {
            Ok(recovered) => tracing::info!(
                target: log::STARTUP,
                interrupted_uploads = recovered.interrupted_uploads,
                watched_uploads = recovered.watched_uploads,
                "the process before has ended"
            ),
            Err(error) => tracing::error!(?error, "what the process before left is not cleaned up"),
        }
    }

    /// Whether a successor has taken over.
    async fn reload(&mut self) -> Result<bool, StartError> {
        tracing::info!(target: log::STARTUP, "reload: starting a successor");
        self.supervisor.reloading();
        let uploads = self.before.as_ref().map(|before| before.uploads.clone());
        let handed_over = reload::hand_over(
            &self.app,
            &self.origin,
            &self.listeners,
            &self.phase,
            uploads.unwrap_or_default(),
        );
        match handed_over.await {
            Ok(pid) => {
                self.supervisor.replaced_by(pid);
                tracing::info!(target: log::STARTUP, successor = pid, "reload: handed over");
                Ok(true)
            }
            Err(ReloadError::TakeBack(error)) => Err(error),
            Err(error) => {
                self.supervisor.ready();
                tracing::error!("reload: this process serves on: {error}");
                Ok(false)
            }
        }
    }

    /// A successor serves: gives what is in flight its time, or less when it is told to end.
    async fn leave(&mut self) -> Drained {
        self.listeners.clear();
        if let Some(scrubber) = &self.app.scrubber {
            scrubber.end();
        }
        let limit = self.app.config.listen.reload_timeout;
        let active_uploads = self.app.service.active_uploads();
        let end = async {
            let drained = drain::wait(&self.balance, active_uploads, limit).await;
            ended_or_none(&mut self.before).await;
            drained
        };
        let signal = tokio::select! {
            drained = end => return drained,
            signal = self.signals.told_to_end() => signal,
            () = look_after() => "nothing",
        };
        self.drain(signal).await
    }

    async fn end(&mut self, signal: &'static str) -> Drained {
        self.supervisor
            .stopping(self.app.config.listen.drain_timeout);
        self.drain(signal).await
    }

    async fn drain(&mut self, signal: &'static str) -> Drained {
        tracing::info!(target: log::STARTUP, "{signal}: accepting no more");
        self.app.health.begin_drain();
        // As long as one is open, the kernel takes connections in.
        self.listeners.clear();
        self.phase.send_replace(ServerState::ShuttingDown);
        let limit = self.app.config.listen.drain_timeout;
        drain::wait(&self.balance, self.app.service.active_uploads(), limit).await
    }
}

/// Returns when the process before has ended; never when there is none.
async fn ended(before: &mut Option<Before>) {
    match before {
        // Its sender only ever goes away.
        Some(before) => drop((&mut before.end).await),
        None => std::future::pending().await,
    }
}

async fn ended_or_none(before: &mut Option<Before>) {
    if before.is_some() {
        ended(before).await;
    }
}

async fn look_after() {
    let mut memory = Memory::default();
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        metrics::upkeep();
        memory.look_after();
    }
}
