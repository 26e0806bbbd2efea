//! Room for data: what is left of an owner's quota.
//!
//! The registry decides, with the write that takes the room, so that nobody is overtaken. Here
//! is what comes before that: waiting for what is being removed, and asking for more as data
//! of unknown length come in.

use std::time::Duration;

use tokio::time::Instant;

use super::Service;
use super::modify::modify;
use super::upload::UploadSession;
use crate::error::{Kind, Result};
use crate::image::{Image, Upload, Usage};

/// Longest wait for bytes that are being removed. Where their store does not answer, whoever
/// needs their room is refused.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// Most bytes that data of unknown length reserve ahead: a durable write of the registry for
/// each of them is lost in the time that so many bytes take.
const MOST_AHEAD_BYTES: u64 = 64 << 20;
/// And the part of what is left, so that near the limit nobody starves others with room
/// that is not used.
const PART_AHEAD: u64 = 16;

impl Service {
    /// Returns when there is room for the data of an image that has none yet, or when there
    /// will be none: the registry will say so.
    ///
    /// # Errors
    /// Those of the registry.
    pub(super) async fn await_room_for(&self, image: &Image) -> Result<()> {
        let wanted_bytes = Usage::of(image).kept_bytes;
        self.await_room(image.owner.as_deref(), wanted_bytes).await
    }

    async fn await_room(&self, owner: Option<&str>, wanted_bytes: u64) -> Result<()> {
        let Some(limit_bytes) = self.limits.owner.bytes.filter(|_| wanted_bytes > 0) else {
            return Ok(());
        };
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut pause = FIRST_PAUSE;
        loop {
            let usage = self.registry.usage(owner).await?;
            let fits = |used_bytes: u64| used_bytes.saturating_add(wanted_bytes) <= limit_bytes;
            let waits = fits(usage.kept_bytes) && !fits(usage.bytes());
            if !waits || Instant::now() >= deadline {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Reserves room for the first `needed_bytes` bytes of an upload under way, and for some
    /// more where there is plenty. How many bytes may now come.
    ///
    /// # Errors
    /// `TooLarge` when there is no room; `DeletedMeanwhile` when the upload is none any more.
    pub(super) async fn extend_reservation(
        &self,
        session: &UploadSession,
        needed_bytes: u64,
    ) -> Result<u64> {
        let Some(limit_bytes) = self.limits.owner.bytes else {
            return Ok(u64::MAX);
        };
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut looks_ahead = true;
        loop {
            match self
                .reserve(session, needed_bytes, limit_bytes, looks_ahead)
                .await
            {
                // Another upload took some of it meanwhile. The room for `needed_bytes` alone
                // may still be there.
                Err(error) if error.kind() == Kind::TooLarge && looks_ahead => {
                    looks_ahead = false;
                }
                Err(error) if error.kind() == Kind::TooLarge && Instant::now() < deadline => {
                    if !waits_behind(session).await {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    /// Writes the reservation of an upload under way into its record. Returns how many bytes
    /// it has reserved.
    async fn reserve(
        &self,
        session: &UploadSession,
        needed_bytes: u64,
        limit_bytes: u64,
        looks_ahead: bool,
    ) -> Result<u64> {
        modify(&session.image(), async || {
            let record = self.current(session).await?;
            let missing_bytes = needed_bytes.saturating_sub(reserved(&record.image));
            let owner = record.image.owner.as_deref();
            self.await_room(owner, missing_bytes).await?;
            let used_bytes = self.registry.usage(owner).await?.bytes();
            let free_bytes = limit_bytes.saturating_sub(used_bytes.saturating_add(missing_bytes));
            let ahead_bytes = match looks_ahead {
                true => (free_bytes / PART_AHEAD).min(MOST_AHEAD_BYTES),
                false => 0,
            };
            let room_bytes = needed_bytes.saturating_add(ahead_bytes);
            let image = with_reserved(&record.image, room_bytes);
            self.registry.replace(image, record.version).await?;
            Ok(room_bytes)
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

/// Of uploads that outgrow their owner's room together, the one that began last gives way,
/// and those before it go on when it is gone. If all were refused, none would ever fit.
async fn waits_behind(session: &UploadSession) -> bool {
    match &session.place {
        Some(place) => place.wait_behind(LAST_PAUSE).await,
        None => false,
    }
}
