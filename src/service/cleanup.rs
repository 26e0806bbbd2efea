//! Removing what nobody will ever ask for again.

use uuid::Uuid;

use super::housekeeper::Clean;
use super::{MOST_RETRIES, Service, now_after};
use crate::error::{Kind, Result};
use crate::image::{ImageId, Query, SortDirection, SortKey, Status, Timestamp, Visibility};

/// What the start found to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Uploads that the end of the process before cut off; their images are killed now.
    pub interrupted_uploads: usize,
    /// Images with something left in a store; the housekeeper removes it.
    pub images_with_remains: usize,
}

impl Service {
    /// Brings the registry to rest after a process that ended somehow. To be called before
    /// any request, and only where no other process uses the registry but those that
    /// `is_under_way` knows the uploads of.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn recover(&self, is_under_way: impl Fn(&Uuid) -> bool) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for record in self.registry.list(&everything()).await? {
            let mut image = record.image.clone();
            let upload = image.upload.as_ref();
            if upload.is_some_and(|upload| is_under_way(&upload.id)) {
                continue;
            }
            // A copy that never had its turn is still queued.
            let awaits_turn = image.status == Status::Queued && image.upload.is_some();
            if image.status == Status::Saving || awaits_turn {
                image.status = Status::Killed;
                image.updated_at = now_after(image.updated_at);
                match self.registry.replace(image.clone(), record.version).await {
                    // It has come to its end since it was listed.
                    Err(error) if error.kind() == Kind::Stale => continue,
                    result => drop(result?),
                }
                recovered.interrupted_uploads += 1;
            }
            if image.has_remains() {
                recovered.images_with_remains += 1;
                self.housekeeper.clean(image.id);
            }
        }
        Ok(recovered)
    }
}

impl Clean for Service {
    /// From the stores first, and then from its record that there is something left.
    async fn clean(&self, id: &ImageId) -> Result<()> {
        for _ in 0..MOST_RETRIES {
            let Some(record) = self.registry.get(id).await? else {
                return Ok(());
            };
            if !record.image.has_remains() {
                return Ok(());
            }
            let mut image = record.image.clone();
            if let Some(upload) = image.upload.take() {
                let store = self.stores.choose(Some(&upload.store))?;
                store.discard(id, &upload).await?;
            }
            if image.status == Status::Deleted
                && let Some(data) = image.data.take()
            {
                self.stores
                    .of(&data.location)?
                    .delete(&data.location)
                    .await?;
            }
            match self.registry.replace(image, record.version).await {
                Err(error) if error.kind() == Kind::Stale => {}
                result => return result.map(|_| ()),
            }
        }
        Ok(())
    }
}

/// Every record there is, deleted ones too.
pub(super) fn everything() -> Query {
    Query {
        visibility: Visibility::All,
        filters: Vec::new(),
        changes_since: Some(Timestamp::from_micros(i64::MIN)),
        sort_key: SortKey::Id,
        sort_direction: SortDirection::Ascending,
        marker: None,
        limit: usize::MAX,
    }
}
