//! Repairs findings without risk to other data.

use super::super::error::with_cause;
use super::finding::{Finding, Flaw};
use super::orphans::now;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Status, Timestamp};
use crate::registry::Registry;
use crate::service::modify;
use crate::store::{StoredKey, Stores};

/// Repairs a finding, or sets the reason why that failed.
pub(super) async fn repair(finding: &mut Finding, registry: &dyn Registry, stores: &Stores) {
    let done = match (finding.flaw, finding.image) {
        (Flaw::Orphan, _) => remove(finding, registry, stores).await,
        (Flaw::StaleUpload, Some(id)) => kill(&id, registry, stores).await,
        (Flaw::Remains, Some(id)) => clear(&id, registry, stores).await,
        (Flaw::Missing | Flaw::WrongSize, Some(id)) => deactivate(&id, registry).await,
        _ => return,
    };
    match done {
        Ok(Some(done)) => finding.repair = Some(done),
        Ok(None) => finding.reason = Some("the image has changed since".to_owned()),
        Err(error) => finding.reason = Some(with_cause(&error)),
    }
}

/// Removes data that belong to no image, unless an image of that name may receive data.
async fn remove(
    finding: &Finding,
    registry: &dyn Registry,
    stores: &Stores,
) -> Result<Option<&'static str>> {
    let (Some(of), Some(store)) = (finding.stored_of(), finding.store.as_deref()) else {
        return Ok(None);
    };
    if let StoredKey::Image(id) = of
        && let Some(record) = registry.get(&id).await?
        && (record.image.upload.is_some() || takes_data(record.image.status))
    {
        let message = "not removed: the image may receive data at any time";
        return Err(Error::new(Kind::Conflict, message));
    }
    stores.choose(Some(store))?.discard_entry(&of).await?;
    Ok(Some("removed"))
}

fn takes_data(status: Status) -> bool {
    matches!(status, Status::Queued | Status::Saving)
}

/// Kills an image whose upload was abandoned, and removes the data of the upload.
async fn kill(
    id: &ImageId,
    registry: &dyn Registry,
    stores: &Stores,
) -> Result<Option<&'static str>> {
    let killed = |image: &Image| {
        let is_under_way = takes_data(image.status) && image.upload.is_some();
        is_under_way.then(|| Image {
            status: Status::Killed,
            updated_at: after(image.updated_at),
            ..image.clone()
        })
    };
    if !change(id, registry, killed).await? {
        return Ok(None);
    }
    clear(id, registry, stores).await?;
    Ok(Some("killed"))
}

/// Removes the data of a failed upload or of a deleted image, and updates the record.
async fn clear(
    id: &ImageId,
    registry: &dyn Registry,
    stores: &Stores,
) -> Result<Option<&'static str>> {
    modify(id, async || {
        let Some(record) = registry.get(id).await? else {
            return Ok(None);
        };
        let mut image = record.image.clone();
        if !image.has_remains() {
            return Ok(None);
        }
        if let Some(upload) = image.upload.take() {
            let store = stores.choose(Some(&upload.store))?;
            store.discard(id, &upload).await?;
        }
        if image.status == Status::Deleted
            && let Some(data) = image.data.take()
        {
            for copy in data.locations() {
                stores.for_location(&copy.uri)?.delete(&copy.uri).await?;
            }
        }
        registry.replace(image, record.version).await?;
        Ok(Some("removed"))
    })
    .await
}

/// Deactivates an image whose data are missing: clients are refused, and the record remains for the
/// case that an operator restores the data.
async fn deactivate(id: &ImageId, registry: &dyn Registry) -> Result<Option<&'static str>> {
    let deactivated = |image: &Image| {
        let is_served = image.status == Status::Active;
        is_served.then(|| Image {
            status: Status::Deactivated,
            updated_at: after(image.updated_at),
            ..image.clone()
        })
    };
    let is_done = change(id, registry, deactivated).await?;
    Ok(is_done.then_some("deactivated"))
}

/// Changes a record. Returns false if there was nothing to change.
async fn change(
    id: &ImageId,
    registry: &dyn Registry,
    change: impl Fn(&Image) -> Option<Image>,
) -> Result<bool> {
    modify(id, async || {
        let record = registry.get(id).await?;
        let Some(record) = record else {
            return Ok(false);
        };
        let Some(image) = change(&record.image) else {
            return Ok(false);
        };
        registry.replace(image, record.version).await?;
        Ok(true)
    })
    .await
}

fn after(before: Timestamp) -> Timestamp {
    now().max(Timestamp::from_micros(before.as_micros() + 1))
}
