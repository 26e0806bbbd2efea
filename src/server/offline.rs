//! The registry and the stores of a node that does not run.

use std::sync::Arc;

use super::build::{Caching, Parts, open_parts};
use super::start_error::StartError;
use crate::api::ScrubReport;
use crate::config::Config;
use crate::error::Result;
use crate::image::ImageId;
use crate::service::Service;
use crate::transfer::BlockingThreads;
use crate::transfer::disk::IoBackend;

/// What a node has, without anybody to serve.
pub(super) struct Offline {
    service: Arc<Service>,
    /// What files are removed by.
    _blocking: BlockingThreads,
}

impl Offline {
    /// Opens everything, and brings the registry to rest.
    ///
    /// # Errors
    /// [`StartError`], also when a node has the registry open.
    pub(super) fn open(config: &Config) -> std::result::Result<Self, StartError> {
        let Parts {
            service, blocking, ..
        } = open_parts(config, IoBackend::Threads, Caching::Off, None)?;
        Ok(Self {
            service,
            _blocking: blocking,
        })
    }

    /// A round of scrubbing, and the removal of whatever else is left. To be called in a
    /// [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// Those of the registry.
    pub(super) async fn round(&self) -> Result<ScrubReport> {
        let scrubbed = self.service.scrub().await?;
        let cleaned = self.service.clean_remains().await?;
        Ok(ScrubReport {
            removed: scrubbed.removed + cleaned.removed,
            // What failed before was tried again.
            failed: cleaned.failed,
            waiting: scrubbed.waiting,
        })
    }

    /// Makes an image that waits for the scrubber active again.
    ///
    /// # Errors
    /// As [`Service::restore`].
    pub(super) async fn restore(&self, id: &ImageId) -> Result<()> {
        self.service.restore(id).await
    }
}
