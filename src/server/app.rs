//! The parts of a running node, and those that every server has.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::api::{ApiState, NodeHealth};
use crate::auth::Authenticator;
use crate::config::{self, Config};
use crate::metrics;
use crate::policy::Rules;
use crate::registry::SwitchableRegistry;
use crate::service::{Auditor, Heartbeat, Scrubber, Service};
use crate::transfer::disk::{IoBackend, NoUring, probe_uring};
use crate::transfer::{BlockingPool, BlockingThreads};

use super::cache::FillThread;
use super::identity::authenticator;
use super::start_error::StartError;
use super::{rules, settings};

/// The parts of a running node.
pub struct App {
    /// The configuration they were made from.
    pub config: Config,
    /// The verbs.
    pub service: Arc<Service>,
    /// Who finds out who is asking.
    pub authenticator: Arc<Authenticator>,
    /// What `/healthcheck` asks.
    pub health: Arc<NodeHealth>,
    /// The I/O engine of the workers.
    pub io_backend: IoBackend,
    /// Workers to start.
    pub workers: usize,
    /// Who removes the data of images that were deleted a while ago; a registry server, which
    /// has no data, has nobody for it.
    pub scrubber: Option<Scrubber>,
    /// The registry, as it can be handed to a successor.
    pub(super) registry: Arc<SwitchableRegistry>,
    blocking: BlockingThreads,
    /// Watches over uploads, also while the last of them end.
    pub(super) heartbeat: Option<Heartbeat>,
    /// Compares stored data with their checksums.
    pub(super) auditor: Option<Auditor>,
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) fills: Option<FillThread>,
}

impl App {
    /// The threads for calls that may block.
    pub fn blocking(&self) -> BlockingPool {
        self.blocking.handle()
    }

    /// What a worker's door opens on.
    pub(super) fn api_state(&self) -> ApiState {
        ApiState {
            service: Arc::clone(&self.service),
            authenticator: Arc::clone(&self.authenticator),
            settings: settings::api(&self.config),
            health: Arc::clone(&self.health),
        }
    }

    /// Ends what the workers no longer need, once they are gone.
    pub fn close(self) {
        let Self {
            service,
            scrubber,
            heartbeat,
            auditor,
            threads,
            fills,
            ..
        } = self;
        if let Some(fills) = fills {
            fills.end();
        }
        service.cleaner().end();
        if let Some(scrubber) = scrubber {
            scrubber.end();
        }
        drop(heartbeat);
        drop(auditor);
        for thread in threads {
            // One that panicked has nothing left to end.
            let _ = thread.join();
        }
        drop(service);
    }
}

/// What a server has before its registry is open, whatever it serves.
pub(super) struct Base {
    pub(super) io_backend: IoBackend,
    rules: Rules,
    authenticator: Authenticator,
}

impl Base {
    pub(super) fn of(config: &Config) -> Result<Self, StartError> {
        metrics::install()?;
        Ok(Self {
            io_backend: choose_backend(config.data.io_backend)?,
            rules: rules::load(&config.rules)?,
            authenticator: authenticator(config)?,
        })
    }

    /// A node that does nothing by itself.
    pub(super) fn app(
        self,
        config: Config,
        service: Arc<Service>,
        registry: Arc<SwitchableRegistry>,
        blocking: BlockingThreads,
    ) -> App {
        service.set_rules(self.rules);
        App {
            workers: settings::or_cores(config.listen.workers),
            authenticator: Arc::new(self.authenticator),
            health: Arc::default(),
            config,
            service,
            io_backend: self.io_backend,
            registry,
            blocking,
            scrubber: None,
            heartbeat: None,
            auditor: None,
            threads: Vec::new(),
            fills: None,
        }
    }
}

fn choose_backend(wanted: config::IoBackend) -> Result<IoBackend, StartError> {
    let chosen = match wanted {
        config::IoBackend::Threads => IoBackend::Threads,
        config::IoBackend::Uring => {
            probe_uring()?;
            IoBackend::Uring
        }
        config::IoBackend::Auto => match probe_uring() {
            Ok(()) => IoBackend::Uring,
            Err(NoUring(cause)) => {
                tracing::warn!(%cause, "this system refuses io_uring; files are written by threads");
                IoBackend::Threads
            }
        },
    };
    metrics::io_backend(chosen.as_str());
    Ok(chosen)
}
