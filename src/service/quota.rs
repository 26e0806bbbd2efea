//! Storage quotas: reservations of bytes for the data of an image.
//!
//! The registry checks the quota within the write that reserves the bytes, so two writers cannot
//! both take the last bytes. This file adds what happens around that write: waiting for bytes that
//! are being removed, and growing the reservation of an upload of unknown length.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::modify::modify;
use super::upload_session::UploadSession;
use crate::error::{Kind, Result};
use crate::image::{Image, Upload, Usage};
use crate::registry::Registry;

/// Longest wait for bytes that are being removed. If their store does not answer in this time, the
/// request that needs the bytes is refused.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// Most bytes that an upload of unknown length reserves ahead. Each reservation is a durable write,
/// whose cost is negligible beside the transfer of this many bytes.
const MOST_AHEAD_BYTES: u64 = 64 << 20;

/// An upload reserves at most this fraction (1/16) of the free bytes ahead. Near the limit, an
/// upload then does not block others with a reservation it does not use.
const AHEAD_DIVISOR: u64 = 16;

/// Reserves bytes of an owner's quota.
pub(super) struct Quota {
    registry: Arc<dyn Registry>,
    /// The most bytes of one owner; `None` for no limit.
    limit_bytes: Option<u64>,
}

impl Quota {
    pub(super) fn new(registry: Arc<dyn Registry>, limit_bytes: Option<u64>) -> Self {
        Self {
            registry,
            limit_bytes,
        }
    }

    /// Waits while the image's data do not fit but will once data of deleted images are removed.
    /// If they never fit, the registry refuses the write that follows.
    ///
    /// # Errors
    /// Those of the registry.
    pub(super) async fn wait_for_removals(&self, image: &Image) -> Result<()> {
        let wanted_bytes = Usage::of(image).kept_bytes;
        self.wait_until_free(image.owner.as_deref(), wanted_bytes)
            .await
    }

    async fn wait_until_free(&self, owner: Option<&str>, wanted_bytes: u64) -> Result<()> {
        let Some(limit_bytes) = self.limit_bytes.filter(|_| wanted_bytes > 0) else {
            return Ok(());
        };
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut pause = FIRST_PAUSE;
        loop {
            let usage = self.registry.usage(owner).await?;
            let fits = |used_bytes: u64| used_bytes.saturating_add(wanted_bytes) <= limit_bytes;
            // Bytes on removal still count. Waiting helps only if the kept bytes alone would fit.
            let waits = fits(usage.kept_bytes) && !fits(usage.bytes());
            if !waits || Instant::now() >= deadline {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Extends the reservation of an upload to at least `needed_bytes`, and ahead of that if many
    /// bytes are free. Returns the bytes that the upload may now write.
    ///
    /// # Errors
    /// `TooLarge` if the quota does not allow it; `DeletedMeanwhile` if the image was deleted.
    pub(super) async fn extend(&self, session: &UploadSession, needed_bytes: u64) -> Result<u64> {
        let Some(limit_bytes) = self.limit_bytes else {
            return Ok(u64::MAX);
        };
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut reserves_ahead = true;
        loop {
            let reserved = self
                .reserve(session, needed_bytes, limit_bytes, reserves_ahead)
                .await;
            match reserved {
                // Another upload has reserved bytes since the usage was read. `needed_bytes` alone
                // may still fit.
                Err(error) if error.kind() == Kind::TooLarge && reserves_ahead => {
                    reserves_ahead = false;
                }
                Err(error) if error.kind() == Kind::TooLarge && Instant::now() < deadline => {
                    if !wait_for_later_upload(session).await {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    /// Writes a larger reservation into the record. Returns the reserved bytes.
    async fn reserve(
        &self,
        session: &UploadSession,
        needed_bytes: u64,
        limit_bytes: u64,
        reserves_ahead: bool,
    ) -> Result<u64> {
        modify(&session.image, async || {
            let record = session.record(&*self.registry).await?;
            let missing_bytes = needed_bytes.saturating_sub(reserved(&record.image));
            let owner = record.image.owner.as_deref();
            self.wait_until_free(owner, missing_bytes).await?;
            let used_bytes = self.registry.usage(owner).await?.bytes();
            let free_bytes = limit_bytes.saturating_sub(used_bytes.saturating_add(missing_bytes));
            let ahead_bytes = match reserves_ahead {
                true => (free_bytes / AHEAD_DIVISOR).min(MOST_AHEAD_BYTES),
                false => 0,
            };
            let reserved_bytes = needed_bytes.saturating_add(ahead_bytes);
            let image = with_reserved(&record.image, reserved_bytes);
            self.registry.replace(image, record.version).await?;
            Ok(reserved_bytes)
        })
        .await
    }
}

fn reserved(image: &Image) -> u64 {
    let upload = image.upload.as_ref();
    upload.map_or(0, |upload| upload.reserved_bytes)
}

fn with_reserved(image: &Image, reserved_bytes: u64) -> Image {
    let upload = image.upload.clone().map(|upload| Upload {
        reserved_bytes,
        ..upload
    });
    Image {
        upload,
        ..image.clone()
    }
}

/// Waits for an upload of the same owner that began later. Returns false if there is none.
///
/// When several uploads outgrow the quota together, the latest is refused and the earlier ones
/// continue with its bytes. If all were refused, none could ever complete.
async fn wait_for_later_upload(session: &UploadSession) -> bool {
    match &session.quota_ticket {
        Some(ticket) => ticket.wait_for_later(LAST_PAUSE).await,
        None => false,
    }
}
