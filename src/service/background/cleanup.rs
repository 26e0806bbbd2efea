//! Removing the data of one image from the stores: the bytes of a failed upload, and the data of a
//! deleted image.

use std::time::Instant;

use super::cleaner::Cleanup;
use super::maintenance::{Maintenance, killed};
use crate::error::Result;
use crate::image::{Image, ImageId, OnFailure, Status, Upload};
use crate::service::clock::now_after;
use crate::service::modify::modify;

impl Cleanup for Maintenance {
    /// Removes the data first and then their mention in the record, so that an interruption between
    /// the two steps leaves a record from which the next attempt continues.
    async fn clean(&self, id: &ImageId) -> Result<()> {
        self.kill_lost(id).await?;
        modify(id, async || {
            let Some(record) = self.registry.get(id).await? else {
                return Ok(());
            };
            let mut image = record.image.clone();
            if self.remove_data(&mut image).await? {
                self.registry.replace(image, record.version).await?;
            }
            Ok(())
        })
        .await
    }
}

impl Maintenance {
    /// Kills the image if it waits for an upload that this process has lost.
    async fn kill_lost(&self, id: &ImageId) -> Result<()> {
        modify(id, async || {
            let record = self.registry.get(id).await?;
            if let Some(record) = record.filter(|record| self.has_lost_upload(&record.image)) {
                let killed = killed(&record.image);
                self.registry.replace(killed, record.version).await?;
            }
            Ok(())
        })
        .await
    }

    /// Removes the remaining data of an image from the stores, and their mention from `image`.
    /// Returns false if there are none.
    async fn remove_data(&self, image: &mut Image) -> Result<bool> {
        let is_deleted = image.status == Status::Deleted;
        let has_remains = image.has_remains();
        // The upload of another server may still run after the image was deleted. That server
        // notices the deletion, at the latest when it restarts, and removes the bytes itself.
        let is_removable =
            |upload: &mut Upload| has_remains && (!is_deleted || self.is_ours(upload));
        let upload = image.upload.take_if(is_removable);
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
        if let Some(upload) = &upload {
            requeue(image, upload);
        }
        Ok(upload.is_some() || data.is_some())
    }

    /// Has the cleaner check the images again whose last write is unconfirmed.
    pub(super) fn clean_unconfirmed(&self) {
        for id in self.unconfirmed.due(Instant::now()) {
            self.cleaner.clean(id);
        }
    }
}

/// Makes a killed image `queued` if its upload asks for that. This happens only after the bytes are
/// removed: a queued image can get new data at once.
fn requeue(image: &mut Image, upload: &Upload) {
    if image.status == Status::Killed && upload.on_failure == OnFailure::Requeue {
        image.status = Status::Queued;
        image.updated_at = now_after(image.updated_at);
    }
}
