//! The components of a server without the server, for use while no server runs.

use std::sync::Arc;

use crate::api::ScrubReport;
use crate::config::Config;
use crate::error::Result;
use crate::image::ImageId;
use crate::server::compose::build::{Caching, Parts, open_parts};
use crate::server::start_error::StartError;
use crate::service::Service;
use crate::transfer::BlockingThreads;
use crate::transfer::disk::IoBackend;

/// An open registry and open stores, and the service over them.
pub(in crate::server) struct StandaloneNode {
    service: Arc<Service>,
    /// The threads that remove files.
    _blocking: BlockingThreads,
}

impl StandaloneNode {
    /// Opens the registry and the stores, and cleans up after a server that crashed.
    ///
    /// # Errors
    /// [`StartError`], among others when a server has the registry open.
    pub(in crate::server) fn open(config: &Config) -> std::result::Result<Self, StartError> {
        let Parts {
            service, blocking, ..
        } = open_parts(config, IoBackend::Threads, Caching::Off, None)?;
        Ok(Self {
            service,
            _blocking: blocking,
        })
    }

    /// Makes one pass of the scrubber, and removes what failed uploads have left. Must be called
    /// in a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// Those of the registry.
    pub(in crate::server) async fn scrub(&self) -> Result<ScrubReport> {
        let scrubbed = self.service.maintenance().scrub().await?;
        let cleaned = self.service.maintenance().clean_remains().await?;
        Ok(ScrubReport {
            removed: scrubbed.removed + cleaned.removed,
            // The failures of the first step were retried by the second.
            failed: cleaned.failed,
            waiting: scrubbed.waiting,
        })
    }

    /// Restores an image that waits for the scrubber.
    ///
    /// # Errors
    /// Those of [`Service::restore`].
    pub(in crate::server) async fn restore(&self, id: &ImageId) -> Result<()> {
        self.service.restore(id).await
    }
}
