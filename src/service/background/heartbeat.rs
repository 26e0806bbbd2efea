//! Heartbeats of running uploads, and the end of abandoned ones.
//!
//! A server that starts ends the uploads that an earlier process of its name has left. A server
//! that never returns would leave images `saving` forever. Therefore each server of a shared
//! registry rewrites the record of each of its running uploads every [`HEARTBEAT_INTERVAL`], and
//! polls the uploads of other servers. An upload whose record stays unchanged for [`NEEDED_POLLS`]
//! consecutive polls is abandoned: the server that notices takes it over and ends it.
//!
//! Clocks of different servers are never compared. Polls count only if they certainly saw the
//! current record, so an outage of the registry never ends an upload. The takeover is a
//! compare-and-swap, so a heartbeat that is written first wins. A server that was cut off from the
//! registry for longer finds its image killed, and removes the bytes that it has written.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval_at};

use super::maintenance::{Maintenance, killed};
use crate::error::{Kind, Result};
use crate::image::{Filter, Image, ImageId, Query, Status};
use crate::registry::{Record, Version};
use crate::runtime::{self, ThreadError};
use crate::service::active_uploads::UploadRef;
use crate::service::upload_session::is_current;

/// Interval of the heartbeats of a running upload. At most a sixth of the shortest time after which
/// an upload can count as abandoned.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// Consecutive polls without a change after which an upload is abandoned.
const NEEDED_POLLS: u32 = 8;

/// Polls that are needed at least after a poll failed. Another server that had lost the registry
/// too has written a heartbeat by then.
const NEEDED_POLLS_AFTER_OUTAGE: u32 = 4;

/// Statuses of images that may have an upload, or the remains of one.
const UNFINISHED: [Status; 4] = [
    Status::Queued,
    Status::Saving,
    Status::Killed,
    Status::Deleted,
];

/// The heartbeat thread. Dropping this ends it.
#[derive(Debug)]
pub struct Heartbeat {
    _ends: watch::Sender<()>,
}

impl Heartbeat {
    /// Starts the thread. It ends uploads of other servers after `abandoned_after` without a
    /// heartbeat; with `None`, never.
    ///
    /// # Errors
    /// [`ThreadError`] if the system cannot create a thread.
    pub fn start(
        service: Weak<Maintenance>,
        abandoned_after: Option<Duration>,
    ) -> std::result::Result<(Self, JoinHandle<()>), ThreadError> {
        let runtime = runtime::current_thread()?;
        let (ends, mut ended) = watch::channel(());
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    // Nothing is ever sent: this returns when the sender is dropped.
                    _ = ended.changed() => {}
                    () = send_heartbeats(&service) => {}
                    () = poll_other_servers(&service, abandoned_after) => {}
                    () = poll_name_conflicts(&service, abandoned_after) => {}
                }
            });
        };
        Ok((Self { _ends: ends }, runtime::spawn("heartbeat", run)?))
    }
}

async fn send_heartbeats(service: &Weak<Maintenance>) {
    let mut ticks = ticks(HEARTBEAT_INTERVAL);
    loop {
        ticks.tick().await;
        let Some(service) = service.upgrade() else {
            return;
        };
        service.clean_unconfirmed();
        for upload in service.active_uploads.refs() {
            if let Err(error) = service.send_heartbeat(&upload).await {
                let image_id = upload.image;
                tracing::debug!(%image_id, ?error, "cannot write the heartbeat of an upload");
            }
        }
    }
}

async fn poll_other_servers(service: &Weak<Maintenance>, abandoned_after: Option<Duration>) {
    let Some(abandoned_after) = abandoned_after else {
        return std::future::pending().await;
    };
    let mut ticks = ticks(abandoned_after / NEEDED_POLLS);
    let mut observed = ObservedUploads::default();
    loop {
        ticks.tick().await;
        let Some(service) = service.upgrade() else {
            return;
        };
        if !service.registry.is_shared() {
            continue;
        }
        for abandoned in service.poll_uploads(&mut observed).await {
            if let Err(error) = service.take_over(&abandoned).await {
                let image_id = abandoned.image.id;
                tracing::warn!(%image_id, ?error, "cannot end an abandoned upload");
            }
        }
    }
}

/// Polls uploads under this server's name as often as their servers write heartbeats.
async fn poll_name_conflicts(service: &Weak<Maintenance>, abandoned_after: Option<Duration>) {
    let polls_of_others = abandoned_after.map(|time| {
        let polls = time.as_secs().div_ceil(HEARTBEAT_INTERVAL.as_secs());
        u32::try_from(polls).unwrap_or(u32::MAX)
    });
    let mut ticks = ticks(HEARTBEAT_INTERVAL);
    loop {
        ticks.tick().await;
        let Some(service) = service.upgrade() else {
            return;
        };
        service.check_name_conflicts(polls_of_others).await;
    }
}

/// Returns ticks that are at least `interval` apart, the first one after `interval`.
fn ticks(interval: Duration) -> tokio::time::Interval {
    let mut ticks = interval_at(tokio::time::Instant::now() + interval, interval);
    // Ticks must not bunch up after a delay: polls in quick succession would count as polls over
    // the whole time.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The uploads of other servers: the version of each record, and the consecutive polls that found
/// it.
#[derive(Debug, Default)]
struct ObservedUploads {
    uploads: HashMap<ImageId, (Version, u32)>,
}

impl ObservedUploads {
    /// Processes the records of one poll. Returns and forgets those that have been unchanged long
    /// enough.
    fn poll(&mut self, records: impl IntoIterator<Item = Arc<Record>>) -> Vec<Arc<Record>> {
        let mut abandoned = Vec::new();
        let before = std::mem::take(&mut self.uploads);
        for record in records {
            let id = record.image.id;
            let polls = match before.get(&id) {
                Some((version, polls)) if *version == record.version => polls + 1,
                _ => 0,
            };
            match polls < NEEDED_POLLS {
                true => drop(self.uploads.insert(id, (record.version, polls))),
                false => abandoned.push(record),
            }
        }
        abandoned
    }

    /// Processes a poll that could not read the current records.
    fn poll_failed(&mut self) {
        for (_, polls) in self.uploads.values_mut() {
            *polls = (*polls).min(NEEDED_POLLS - NEEDED_POLLS_AFTER_OUTAGE);
        }
    }
}

impl Maintenance {
    /// Rewrites the record of a running upload, which raises its version.
    async fn send_heartbeat(&self, upload: &UploadRef) -> Result<()> {
        if !self.registry.is_shared() {
            return Ok(());
        }
        let Some(record) = self.registry.get(&upload.image).await? else {
            return Ok(());
        };
        if !is_current(&record.image, upload.upload) {
            return Ok(());
        }
        let unchanged = record.image.clone();
        match self.registry.replace(unchanged, record.version).await {
            // Another write has raised the version, which is as good.
            Err(error) if error.kind() != Kind::Stale => Err(error),
            _ => Ok(()),
        }
    }

    /// Polls the uploads of other servers and returns the abandoned ones.
    async fn poll_uploads(&self, observed: &mut ObservedUploads) -> Vec<Arc<Record>> {
        match self.registry.list(&unfinished()).await {
            Ok(records) if self.registry.is_current() => {
                let of_others = records.into_iter().filter(|record| {
                    let upload = record.image.upload.as_ref();
                    upload.is_some_and(|upload| !self.is_ours(upload))
                });
                observed.poll(of_others)
            }
            _ => {
                observed.poll_failed();
                Vec::new()
            }
        }
    }

    /// Ends the upload of another server, and makes it this server's to clean up.
    async fn take_over(&self, record: &Record) -> Result<()> {
        let id = record.image.id;
        let Some(image) = taken_over(&record.image, &self.limits.node_name) else {
            return Ok(());
        };
        match self.registry.replace(image, record.version).await {
            // A heartbeat was faster: the upload is not abandoned.
            Err(error) if error.kind() == Kind::Stale => return Ok(()),
            result => drop(result?),
        }
        let upload = record.image.upload.as_ref();
        let node = upload.and_then(|upload| upload.node.as_deref());
        tracing::warn!(
            image_id = %id,
            node,
            "ended an abandoned upload: its server has sent no heartbeat"
        );
        self.cleaner.clean(id);
        Ok(())
    }
}

/// Returns the image with its upload ended and assigned to the server `node`.
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
            on_failure: Default::default(),
        });
        Arc::new(Record::new(image, version))
    }

    #[test]
    fn only_unchanged_upload_is_abandoned() {
        let mut observed = ObservedUploads::default();
        for _ in 0..NEEDED_POLLS {
            assert!(observed.poll([record(1)]).is_empty());
        }
        // A heartbeat just in time.
        for _ in 0..NEEDED_POLLS {
            assert!(observed.poll([record(2)]).is_empty());
        }
        // A poll without the upload restarts the count.
        assert!(observed.poll([]).is_empty());
        for _ in 0..NEEDED_POLLS {
            assert!(observed.poll([record(2)]).is_empty());
        }
        assert_eq!(observed.poll([record(2)]).len(), 1);
        assert!(
            observed.poll([record(2)]).is_empty(),
            "it was returned once already"
        );
        for _ in 1..NEEDED_POLLS {
            assert!(observed.poll([record(2)]).is_empty());
        }
        observed.poll_failed();
        for _ in 1..NEEDED_POLLS_AFTER_OUTAGE {
            assert!(observed.poll([record(2)]).is_empty());
        }
        assert_eq!(observed.poll([record(2)]).len(), 1);
    }

    #[test]
    fn taken_over_upload_has_ended() {
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
