//! Images as the API servers of Glance have them kept by a registry: they bring data, status
//! and location together themselves, and the registry decides which change comes first.

use std::sync::Arc;

use super::apply::{Purge, apply};
use super::modify::modify;
use super::{Service, invalid, not_found, now, now_after, permit, permit_at_all};
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, Deed, Fields, Image, ImageData, ImageId, Location, Status};
use crate::registry::Record;

impl Service {
    /// Registers an image in the status that is said, `active` if none is.
    ///
    /// # Errors
    /// `Invalid` for an unknown status, `Conflict` for an identifier that is taken.
    pub async fn register(&self, caller: &Caller, fields: Fields) -> Result<Arc<Record>> {
        permit_at_all(caller, Deed::Create)?;
        let id = fields.id.unwrap_or_else(ImageId::random);
        let mut image = Image::queued(id, now());
        image.owner = caller.owner.clone();
        image.status = said_status(&fields)?.unwrap_or(Status::Active);
        amend(caller, fields, Purge::Nothing, &mut image)?;
        self.registry.insert(image).await
    }

    /// Changes an image; with `from_state` only one that has this status.
    ///
    /// # Errors
    /// `Conflict` when it has another, or when no step leads from there to the one that is
    /// said; `NotFound`, `Forbidden`, `Invalid`.
    pub async fn amend(
        &self,
        caller: &Caller,
        id: &ImageId,
        fields: &Fields,
        purge: Purge,
        from_state: Option<&str>,
    ) -> Result<Arc<Record>> {
        permit_at_all(caller, Deed::Change)?;
        let status = said_status(fields)?;
        modify(id, async || {
            let record = self.seen(caller, id).await?;
            let record = record.ok_or_else(|| not_found(id))?;
            permit(caller, Deed::Change, &record.image)?;
            let current = record.image.status;
            check_step(current, status, from_state)?;
            let mut image = record.image.clone();
            image.status = status.unwrap_or(current);
            image.updated_at = now_after(image.updated_at);
            if image.status.is_gone() && !current.is_gone() {
                image.deleted_at = Some(image.updated_at);
            }
            amend(caller, fields.clone(), purge, &mut image)?;
            self.registry.replace(image, record.version).await
        })
        .await
    }

    /// Takes an image off: its record stays, without properties and members. Its data are
    /// the business of the API server that asks. Twice is as good as once.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn take_off(&self, caller: &Caller, id: &ImageId) -> Result<Arc<Record>> {
        permit_at_all(caller, Deed::Change)?;
        modify(id, async || {
            let record = self.seen(caller, id).await?;
            let record = record.ok_or_else(|| not_found(id))?;
            permit(caller, Deed::Change, &record.image)?;
            if record.image.status == Status::Deleted {
                return Ok(record);
            }
            let mut image = record.image.clone();
            image.status = Status::Deleted;
            image.updated_at = now_after(image.updated_at);
            image.deleted_at = Some(image.updated_at);
            image.properties.clear();
            image.members.clear();
            (image.data, image.upload, image.set_aside) = (None, None, None);
            self.registry.replace(image, record.version).await
        })
        .await
    }
}

fn amend(caller: &Caller, mut fields: Fields, purge: Purge, image: &mut Image) -> Result<()> {
    let location = fields.location.take();
    apply(caller, fields, purge, image);
    if let Some(location) = location.filter(|location| !location.is_empty()) {
        image.data = Some(ImageData {
            location: Location::parse(&location).map_err(|error| invalid(error.to_string()))?,
            size_bytes: image.size_bytes,
            checksum: image.checksum.clone(),
        });
    }
    if image.status != Status::Saving {
        // An upload of one of our own servers is over, whoever says so.
        image.upload = image.upload.take().filter(|_| image.data.is_none());
    }
    Ok(())
}

fn said_status(fields: &Fields) -> Result<Option<Status>> {
    let Some(word) = &fields.status else {
        return Ok(None);
    };
    let status = Status::from_word(word);
    status
        .map(Some)
        .ok_or_else(|| invalid(format!("Invalid image status '{word}' for image.")))
}

fn check_step(current: Status, next: Option<Status>, from_state: Option<&str>) -> Result<()> {
    let conflict = |message: String| Err(Error::new(Kind::Conflict, message));
    if let Some(wanted) = from_state
        && wanted != current.as_str()
    {
        return conflict(format!(
            "cannot transition from {} (wanted from_state={wanted})",
            current.as_str()
        ));
    }
    match next {
        Some(next) if next != current && !current.may_become(next) => conflict(format!(
            "cannot transition from {} to {}",
            current.as_str(),
            next.as_str()
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_need_the_state_that_was_said_and_a_way() {
        let kind = |result: Result<()>| result.map_err(|error| error.kind());
        let conflict = Err(Kind::Conflict);
        let step = |current, next, from| kind(check_step(current, next, from));
        assert_eq!(step(Status::Saving, Some(Status::Active), None), Ok(()));
        let from = Some("saving");
        assert_eq!(step(Status::Saving, Some(Status::Active), from), Ok(()));
        assert_eq!(step(Status::Killed, None, from), conflict);
        assert_eq!(step(Status::Active, Some(Status::Active), None), Ok(()));
        assert_eq!(step(Status::Active, Some(Status::Queued), None), conflict);
        assert_eq!(step(Status::Deleted, Some(Status::Active), None), conflict);
    }
}
