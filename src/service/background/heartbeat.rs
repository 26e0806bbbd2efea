//! Ending the uploads of servers that never come back.
//!
//! A server that starts ends the uploads that one of its name has left. One that is gone for
//! good would leave images `saving` for ever. So each server that shares a registry writes the
//! record of every upload it has under way once more, as it is, every [`SIGN_EVERY`]; and
//! looks, more seldom, at those of the others. An upload whose record has stood still over
//! [`LOOKS`] looks in a row has nobody any more. Whoever notices takes it over, under its own
//! name, and ends it.
//!
//! No clock is compared with another one, only looks are counted, and only those that
//! certainly saw what is there now: an outage of the registry is nobody's end. Taking over is a compare-and-swap, so a sign of life that
//! comes first wins. A server that was cut off from the registry for so long finds that the
//! image was killed, and removes what it has written.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval_at};

use super::cleanup::killed;
use crate::error::{Kind, Result};
use crate::image::{Filter, Image, ImageId, Query, Status};
use crate::registry::{Record, Version};
use crate::service::Service;
use crate::service::active_uploads::UploadRef;
use crate::service::upload::is_current;

/// How often an upload under way shows that it is. Six times in the shortest time after which
/// it can count as abandoned.
const SIGN_EVERY: Duration = Duration::from_secs(5);

/// So many looks in a row without a sign of life are needed.
const LOOKS: u32 = 8;

/// So many of them at least after a moment without sight of the registry: whoever had lost
/// sight of it too has shown a sign of life by then.
const LOOKS_AFTER_BLINDNESS: u32 = 4;

/// Statuses of images that have an upload, or what is left of one.
const UNFINISHED: [Status; 4] = [
    Status::Queued,
    Status::Saving,
    Status::Killed,
    Status::Deleted,
];

/// The thread that keeps watch. Dropping this ends it.
#[derive(Debug)]
pub struct Heartbeat {
    _ends: watch::Sender<()>,
}

/// The thread that watches over uploads cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("the thread that watches over uploads cannot be started")]
pub struct HeartbeatError(#[from] io::Error);

impl Heartbeat {
    /// Starts the thread. Uploads of others are ended after `abandoned_after` without a sign
    /// of life; without it never.
    ///
    /// # Errors
    /// [`HeartbeatError`] when the system has no thread left.
    pub fn start(
        service: Weak<Service>,
        abandoned_after: Option<Duration>,
    ) -> std::result::Result<(Self, JoinHandle<()>), HeartbeatError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (ends, mut ended) = watch::channel(());
        let keep = move || {
            runtime.block_on(async {
                tokio::select! {
                    // Only its end is ever told.
                    _ = ended.changed() => {}
                    () = show_life(&service) => {}
                    () = look_at_others(&service, abandoned_after) => {}
                    () = look_at_namesakes(&service, abandoned_after) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("heartbeat".to_owned());
        Ok((Self { _ends: ends }, thread.spawn(keep)?))
    }
}

async fn show_life(service: &Weak<Service>) {
    let mut each = every(SIGN_EVERY);
    loop {
        each.tick().await;
        let Some(service) = service.upgrade() else {
            return;
        };
        service.look_at_doubtful();
        for flight in service.active_uploads.refs() {
            if let Err(error) = service.show_life_of(&flight).await {
                let image_id = flight.image;
                tracing::debug!(%image_id, ?error, "an upload could not show that it is alive");
            }
        }
    }
}

async fn look_at_others(service: &Weak<Service>, abandoned_after: Option<Duration>) {
    let Some(abandoned_after) = abandoned_after else {
        return std::future::pending().await;
    };
    let mut each = every(abandoned_after / LOOKS);
    let mut seen = Seen::default();
    loop {
        each.tick().await;
        let Some(service) = service.upgrade() else {
            return;
        };
        if !service.registry.is_shared() {
            continue;
        }
        for abandoned in service.look(&mut seen).await {
            if let Err(error) = service.take_over(&abandoned).await {
                let image_id = abandoned.image.id;
                tracing::warn!(%image_id, ?error, "an abandoned upload could not be ended");
            }
        }
    }
}

/// Looks at uploads of this server's name as often as their records are written.
async fn look_at_namesakes(service: &Weak<Service>, abandoned_after: Option<Duration>) {
    let looks_of_others = abandoned_after.map(|time| {
        let looks = time.as_secs().div_ceil(SIGN_EVERY.as_secs());
        u32::try_from(looks).unwrap_or(u32::MAX)
    });
    let mut each = every(SIGN_EVERY);
    loop {
        each.tick().await;
        let Some(service) = service.upgrade() else {
            return;
        };
        service.look_at_namesakes(looks_of_others).await;
    }
}

/// Ticks that never come faster than this, and for the first time then.
fn every(time: Duration) -> tokio::time::Interval {
    let mut each = interval_at(tokio::time::Instant::now() + time, time);
    each.set_missed_tick_behavior(MissedTickBehavior::Delay);
    each
}

/// The uploads of others, each with the version of its record and how many looks have seen no
/// other one.
#[derive(Debug, Default)]
struct Seen {
    uploads: HashMap<ImageId, (Version, u32)>,
}

impl Seen {
    /// Takes in what one look saw: what has stood still for long enough, and is forgotten.
    fn look(&mut self, records: impl IntoIterator<Item = Arc<Record>>) -> Vec<Arc<Record>> {
        let mut abandoned = Vec::new();
        let before = std::mem::take(&mut self.uploads);
        for record in records {
            let id = record.image.id;
            let looks = match before.get(&id) {
                Some((version, looks)) if *version == record.version => looks + 1,
                _ => 0,
            };
            match looks < LOOKS {
                true => drop(self.uploads.insert(id, (record.version, looks))),
                false => abandoned.push(record),
            }
        }
        abandoned
    }

    /// Nothing could be seen for sure.
    fn is_blind(&mut self) {
        for (_, looks) in self.uploads.values_mut() {
            *looks = (*looks).min(LOOKS - LOOKS_AFTER_BLINDNESS);
        }
    }
}

impl Service {
    /// Writes the record of an upload as it is. That it was written meanwhile is as good.
    async fn show_life_of(&self, flight: &UploadRef) -> Result<()> {
        if !self.registry.is_shared() {
            return Ok(());
        }
        let Some(record) = self.registry.get(&flight.image).await? else {
            return Ok(());
        };
        if !is_current(&record.image, flight.upload) {
            return Ok(());
        }
        let again = record.image.clone();
        match self.registry.replace(again, record.version).await {
            Err(error) if error.kind() != Kind::Stale => Err(error),
            _ => Ok(()),
        }
    }

    /// Looks at the uploads of other servers: those that are abandoned.
    async fn look(&self, seen: &mut Seen) -> Vec<Arc<Record>> {
        match self.registry.list(&unfinished()).await {
            Ok(records) if self.registry.is_current() => {
                let of_others = records.into_iter().filter(|record| {
                    let upload = record.image.upload.as_ref();
                    upload.is_some_and(|upload| !self.is_ours(upload))
                });
                seen.look(of_others)
            }
            _ => {
                seen.is_blind();
                Vec::new()
            }
        }
    }

    /// Makes an upload of another server one of this server's that was cut off.
    async fn take_over(&self, record: &Record) -> Result<()> {
        let id = record.image.id;
        let Some(image) = taken_over(&record.image, &self.limits.node_name) else {
            return Ok(());
        };
        match self.registry.replace(image, record.version).await {
            Err(error) if error.kind() == Kind::Stale => return Ok(()),
            result => drop(result?),
        }
        let upload = record.image.upload.as_ref();
        let node = upload.and_then(|upload| upload.node.as_deref());
        tracing::warn!(
            image_id = %id,
            node,
            "the upload of a server that shows no sign of life was ended"
        );
        self.cleaner.clean(id);
        Ok(())
    }
}

/// The image with an upload that is over, and this server's to clean up.
fn taken_over(image: &Image, node: &str) -> Option<Image> {
    let mut taken = match image.status {
        Status::Queued | Status::Saving => killed(image),
        _ => image.clone(),
    };
    taken.upload.as_mut()?.node = Some(node.to_owned());
    Some(taken)
}

fn unfinished() -> Query {
    let words = UNFINISHED.map(|status| status.as_str().to_owned());
    Query {
        filters: vec![Filter::Status(words.to_vec())],
        ..Query::everything(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Timestamp, Upload};

    fn record(version: Version) -> Arc<Record> {
        let now = Timestamp::from_micros(1);
        let id = "00000000-0000-4000-8000-000000000001";
        let mut image = Image::queued(id.parse().unwrap(), now);
        image.status = Status::Saving;
        image.upload = Some(Upload {
            id: uuid::Uuid::nil(),
            store: "file".to_owned(),
            started_at: now,
            reserved_bytes: 0,
            node: Some("other".to_owned()),
            process: None,
        });
        Arc::new(Record::new(image, version))
    }

    #[test]
    fn only_what_stands_still_is_abandoned() {
        let mut seen = Seen::default();
        for _ in 0..LOOKS {
            assert!(seen.look([record(1)]).is_empty());
        }
        // A sign of life just in time.
        for _ in 0..LOOKS {
            assert!(seen.look([record(2)]).is_empty());
        }
        // It was not there once.
        assert!(seen.look([]).is_empty());
        for _ in 0..LOOKS {
            assert!(seen.look([record(2)]).is_empty());
        }
        assert_eq!(seen.look([record(2)]).len(), 1);
        assert!(seen.look([record(2)]).is_empty(), "it is forgotten");
        for _ in 1..LOOKS {
            assert!(seen.look([record(2)]).is_empty());
        }
        seen.is_blind();
        for _ in 1..LOOKS_AFTER_BLINDNESS {
            assert!(seen.look([record(2)]).is_empty());
        }
        assert_eq!(seen.look([record(2)]).len(), 1);
    }

    #[test]
    fn what_is_taken_over_is_over() {
        let record = record(1);
        let taken = taken_over(&record.image, "here").unwrap();
        assert_eq!(taken.status, Status::Killed);
        assert!(taken.has_remains() && taken.upload.unwrap().is_of("here"));
        let deleted = Image {
            status: Status::Deleted,
            ..record.image.clone()
        };
        let taken = taken_over(&deleted, "here").unwrap();
        assert_eq!(taken.status, Status::Deleted);
        let without = Image {
            upload: None,
            ..record.image.clone()
        };
        assert!(taken_over(&without, "here").is_none());
    }
}
