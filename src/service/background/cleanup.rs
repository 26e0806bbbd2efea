//! Removing what nobody will ever ask for again.

use std::time::Instant;

use uuid::Uuid;

use super::cleaner::Cleanup;
use super::process_mark::{ProcessState, process_state};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Status, Upload};
use crate::registry::Record;
use crate::service::modify::modify;
use crate::service::{Service, now_after};

/// What the start found to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Uploads that the end of the process before cut off; their images are killed now.
    pub interrupted_uploads: usize,
    /// Images with something left in a store; the cleaner removes it.
    pub images_to_clean: usize,
    /// Uploads of this server's name that may be under way in another process. They are ended
    /// when their records stand still.
    pub watched_uploads: usize,
}

impl Service {
    /// Brings the registry to rest after a process that ended somehow. To be called before
    /// any request. Uploads under way are left alone: those of other servers that share the
    /// registry, those that another process of this name may have, and those that
    /// `is_under_way` knows of, in a process that handed over to this one.
    /// A registry server changes nothing: every upload is one of the API servers.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn recover(&self, is_under_way: impl Fn(&Uuid) -> bool) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        if !self.takes_uploads {
            return Ok(recovered);
        }
        for record in self.registry.list(&Query::everything(usize::MAX)).await? {
            let image = &record.image;
            let upload = image.upload.as_ref();
            if upload.is_some_and(|upload| is_under_way(&upload.id)) {
                continue;
            }
            if self.was_cut_off(image) {
                if self.may_be_under_way_elsewhere(&record) || !self.kill_if_same(&record).await? {
                    self.name_conflicts.watch(&record);
                    recovered.watched_uploads += 1;
                    continue;
                }
                recovered.interrupted_uploads += 1;
            } else if !image.has_remains() {
                continue;
            }
            recovered.images_to_clean += 1;
            self.cleaner.clean(image.id);
        }
        Ok(recovered)
    }

    /// Whether another server of this name may have the upload under way.
    fn may_be_under_way_elsewhere(&self, record: &Record) -> bool {
        let upload = record.image.upload.as_ref();
        let mark = upload.and_then(|upload| upload.process.as_deref());
        let fate = match self.registry.is_shared() {
            true => process_state(mark),
            false => ProcessState::Ended,
        };
        if fate == ProcessState::Running {
            self.warn_of_namesake(record.image.id);
        }
        fate != ProcessState::Ended
    }

    /// Kills an image unless its record has changed since it was listed.
    async fn kill_if_same(&self, record: &Record) -> Result<bool> {
        let killed = killed(&record.image);
        match self.registry.replace(killed, record.version).await {
            Err(error) if error.kind() == Kind::Stale => Ok(false),
            result => result.map(|_| true),
        }
    }

    /// Whether the record has an upload of this server under way that is not. A copy that has
    /// yet to have its turn is still queued.
    fn was_cut_off(&self, image: &Image) -> bool {
        match (image.status, &image.upload) {
            (Status::Queued | Status::Saving, Some(upload)) => {
                self.is_ours(upload) && !self.active_uploads.has(&upload.id)
            }
            // In a shared registry, an API server of another make may be writing the data.
            (Status::Saving, None) => self.takes_uploads && !self.registry.is_shared(),
            _ => false,
        }
    }

    /// Whether the record has an upload that this process began and has not under way: the
    /// answer of the registry that was to begin or to end it got lost. One that began before
    /// may go on in the process that handed over to this one.
    fn has_lost(&self, image: &Image) -> bool {
        let upload = image.upload.as_ref();
        upload.is_some_and(|upload| upload.started_at >= self.began) && self.was_cut_off(image)
    }

    /// Whether no other server can have an upload under way.
    pub(in crate::service) fn is_ours(&self, upload: &Upload) -> bool {
        let is_only_node = !self.registry.is_shared();
        self.takes_uploads && (is_only_node || upload.is_of(&self.limits.node_name))
    }

    /// Has the cleaner look after an image when it is unknown whether the upload that was
    /// to begin is in its record. The write may also arrive after that look.
    pub(in crate::service) fn clean_if_unknown(&self, id: ImageId, error: &Error) {
        if matches!(error.kind(), Kind::Unavailable { .. }) {
            self.cleaner.clean(id);
            if self.registry.is_shared() {
                self.unconfirmed_writes.note(id, Instant::now());
            }
        }
    }

    /// Has the cleaner look again at the images with an unknown write.
    pub(super) fn look_at_doubtful(&self) {
        for id in self.unconfirmed_writes.due(Instant::now()) {
            self.cleaner.clean(id);
        }
    }
}

pub(super) fn killed(image: &Image) -> Image {
    Image {
        status: Status::Killed,
        updated_at: now_after(image.updated_at),
        ..image.clone()
    }
}

impl Cleanup for Service {
    /// Removes the data from the stores first, and then the mention of them from the record.
    async fn clean(&self, id: &ImageId) -> Result<()> {
        self.kill_lost(id).await?;
        modify(id, async || {
            let Some(record) = self.registry.get(id).await? else {
                return Ok(());
            };
            let mut image = record.image.clone();
            if self.remove(&mut image).await? {
                self.registry.replace(image, record.version).await?;
            }
            Ok(())
        })
        .await
    }
}

impl Service {
    /// Kills the image whose record has an upload that this process has not under way.
    async fn kill_lost(&self, id: &ImageId) -> Result<()> {
        modify(id, async || {
            let record = self.registry.get(id).await?;
            if let Some(record) = record.filter(|record| self.has_lost(&record.image)) {
                let killed = killed(&record.image);
                self.registry.replace(killed, record.version).await?;
            }
            Ok(())
        })
        .await
    }

    /// Removes from the stores what is left of an image, and says so in its record. Whether
    /// there was anything.
    async fn remove(&self, image: &mut Image) -> Result<bool> {
        let is_deleted = image.status == Status::Deleted;
        let is_left = image.has_remains();
        // What another server takes in may be under way there. That one sees that its image is
        // gone, at the latest when it starts anew, and removes what it has written.
        let is_over = |upload: &mut Upload| is_left && (!is_deleted || self.is_ours(upload));
        let upload = image.upload.take_if(is_over);
        let data = image.data.take_if(|_| is_deleted);
        if let Some(upload) = &upload {
            let store = self.stores.choose(Some(&upload.store))?;
            store.discard(&image.id, upload).await?;
        }
        if let Some(data) = &data {
            for copy in data.locations() {
                self.stores
                    .for_location(&copy.uri)?
                    .delete(&copy.uri)
                    .await?;
            }
        }
        Ok(upload.is_some() || data.is_some())
    }
}
