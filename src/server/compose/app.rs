//! The components of a running server, and the order in which they are closed.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::identity::authenticator;
use super::policy_files;
use super::settings;
use crate::api::{ApiState, NodeHealth};
use crate::auth::Authenticator;
use crate::config::{self, Config};
use crate::metrics;
use crate::policy::AccessRules;
use crate::registry::SwitchableRegistry;
use crate::runtime::{LocalThread, RuntimeKind};
use crate::server::start_error::StartError;
use crate::service::{ActiveUploads, Auditor, Catalog, Heartbeat, Scrubber, Service};
use crate::transfer::disk::{IoBackend, NoUring, probe_uring};
use crate::transfer::{BlockingPool, BlockingThreads};

/// The components of a running server. Components that only `glance-api` has are optional.
pub struct App {
    /// The configuration that the components were built from.
    pub config: Config,
    /// The image records.
    pub catalog: Arc<Catalog>,
    /// The verbs that touch image data. A registry server has none.
    pub service: Option<Arc<Service>>,
    /// The uploads of this process. Always empty in a registry server.
    pub active_uploads: ActiveUploads,
    /// Determines the caller of a request.
    pub authenticator: Arc<Authenticator>,
    /// The state that `/healthcheck` reports.
    pub health: Arc<NodeHealth>,
    /// The I/O backend with which the workers read and write files.
    pub io_backend: IoBackend,
    /// Number of workers to start.
    pub workers: usize,
    /// Removes the data of deleted images. A registry server has no image data.
    pub scrubber: Option<Scrubber>,
    /// The registry, which a reload hands over to a successor.
    pub(in crate::server) registry: Arc<SwitchableRegistry>,
    blocking: BlockingThreads,
    /// Writes heartbeats of uploads and ends abandoned ones, also while the server drains.
    pub(in crate::server) heartbeat: Option<Heartbeat>,
    /// Compares stored data with their checksums.
    pub(in crate::server) auditor: Option<Auditor>,
    /// The threads of the components above.
    pub(in crate::server) threads: Vec<JoinHandle<()>>,
    /// Fills the image cache.
    pub(in crate::server) cache_thread: Option<LocalThread>,
}

impl App {
    /// Returns the thread pool for calls that may block.
    pub fn blocking(&self) -> BlockingPool {
        self.blocking.handle()
    }

    /// Returns the kind of runtime that the I/O backend requires.
    pub(in crate::server) fn runtime_kind(&self) -> RuntimeKind {
        runtime_kind(self.io_backend)
    }

    /// Returns the state that the API object of a worker needs.
    pub(in crate::server) fn api_state(&self) -> ApiState {
        ApiState {
            catalog: Arc::clone(&self.catalog),
            authenticator: Arc::clone(&self.authenticator),
            settings: settings::api(&self.config),
            health: Arc::clone(&self.health),
        }
    }

    /// Stops the background threads and closes the components. Must be called after the workers
    /// have ended, and outside any runtime, because it joins threads.
    pub fn close(self) {
        let Self {
            catalog,
            service,
            scrubber,
            heartbeat,
            auditor,
            threads,
            cache_thread,
            ..
        } = self;
        if let Some(thread) = cache_thread {
            thread.stop();
        }
        // Every thread is requested to stop before the first one is joined, so that they end at the
        // same time.
        if let Some(service) = &service {
            service.cleaner().end();
        }
        if let Some(scrubber) = scrubber {
            scrubber.end();
        }
        drop(heartbeat);
        drop(auditor);
        for thread in threads {
            // A thread that panicked has reported the panic and has nothing left to end.
            let _ = thread.join();
        }
        // The last references, since the threads are joined: this closes the registry.
        drop((service, catalog));
    }
}

/// Returns the kind of runtime that an I/O backend requires.
pub(in crate::server) fn runtime_kind(io_backend: IoBackend) -> RuntimeKind {
    match io_backend {
        IoBackend::Uring => RuntimeKind::Uring,
        IoBackend::Threads => RuntimeKind::Epoll,
    }
}

/// The components that both servers build before they open the registry.
pub(in crate::server) struct CommonParts {
    pub(in crate::server) io_backend: IoBackend,
    rules: AccessRules,
    authenticator: Authenticator,
}

impl CommonParts {
    /// Builds them, and sets up the metrics recorder.
    ///
    /// # Errors
    /// When an option or a policy file is wrong.
    pub(in crate::server) fn of(config: &Config) -> Result<Self, StartError> {
        metrics::install()?;
        Ok(Self {
            io_backend: choose_backend(config.data.io_backend)?,
            rules: policy_files::load(&config.rules)?,
            authenticator: authenticator(config)?,
        })
    }

    /// Combines them with the service. The background components are not set.
    pub(in crate::server) fn app(
        self,
        config: Config,
        catalog: Arc<Catalog>,
        service: Option<Arc<Service>>,
        registry: Arc<SwitchableRegistry>,
        blocking: BlockingThreads,
    ) -> App {
        catalog.authorization().set_rules(self.rules);
        let active_uploads = service
            .as_ref()
            .map(|service| service.active_uploads().clone());
        App {
            workers: settings::or_cores(config.listen.workers),
            authenticator: Arc::new(self.authenticator),
            health: Arc::default(),
            config,
            catalog,
            service,
            active_uploads: active_uploads.unwrap_or_default(),
            io_backend: self.io_backend,
            registry,
            blocking,
            scrubber: None,
            heartbeat: None,
            auditor: None,
            threads: Vec::new(),
            cache_thread: None,
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
