//! Images as the API servers of Glance have them kept by a registry: they bring data, status
//! and location together themselves, and the registry decides which change comes first.
//!
//! API servers ask as administrators, and so does every caller where no flavor is set. Other
//! callers are users that reach the registry directly. They are held to the rules of the image
//! API, and set no field that only an API server can answer for ([`check_user_fields`]).

use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::image::{
    Caller, Change, Fields, Image, ImageData, ImageId, ImageOperation, Location, Properties, Status,
};
use crate::policy::Action;
use crate::registry::Record;
use crate::service::apply::{
    Purge, apply, check_fields, check_metadata_bytes, check_property_quota,
};
use crate::service::modify::modify;
use crate::service::update::check_immutable;
use crate::service::{
    Service, authorize, authorize_any, forbidden, invalid, not_found, now, now_after,
};
use crate::wire::registry::{STATE_PROPERTY, is_reserved_property};

impl Service {
    /// Registers an image in the status that is said; if none is, `active` for an
    /// administrator, as Glance has it, and `queued` for anybody else.
    ///
    /// # Errors
    /// `Invalid` for an unknown status, `Conflict` for an identifier that is taken, `Forbidden`
    /// for fields that only administrators set.
    pub async fn register(&self, caller: &Caller, mut fields: Fields) -> Result<Arc<Record>> {
        authorize_any(caller, ImageOperation::Create)?;
        let id = fields.id.unwrap_or_else(ImageId::random);
        let mut image = Image::queued(id, now());
        image.owner = caller.owner.clone();
        let status = said_status(&fields)?;
        if caller.is_admin {
            image.status = status.unwrap_or(Status::Active);
        } else {
            self.enforce(Action::AddImage, caller, None)?;
            self.hold_user(caller, &image, Purge::Nothing, &mut fields)?;
        }
        amend(caller, fields, Purge::Nothing, &mut image)?;
        self.check_user_image(caller, None, &image)?;
        let record = self.registry.insert(image).await?;
        Ok(self.redact(caller, record))
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
        authorize_any(caller, ImageOperation::Change)?;
        let status = said_status(fields)?;
        modify(id, async || {
            let record = self.find_visible(caller, id).await?;
            let record = record.ok_or_else(|| not_found(id))?;
            authorize(caller, ImageOperation::Change, &record.image)?;
            let current = record.image.status;
            check_step(current, status, from_state)?;
            let mut image = record.image.clone();
            image.status = status.unwrap_or(current);
            image.updated_at = now_after(image.updated_at);
            if image.status.is_gone() && !current.is_gone() {
                image.deleted_at = Some(image.updated_at);
            }
            let mut fields = fields.clone();
            if !caller.is_admin {
                self.enforce(Action::ModifyImage, caller, Some(&record.image))?;
                self.hold_user(caller, &record.image, purge, &mut fields)?;
            }
            amend(caller, fields, purge, &mut image)?;
            self.check_user_image(caller, Some(&record.image), &image)?;
            let record = self.registry.replace(image, record.version).await?;
            Ok(self.redact(caller, record))
        })
        .await
    }

    /// Takes an image off: its record stays, without properties and members. Its data are
    /// the business of the API server that asks. Twice is as good as once.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also for an image with data where the caller is no
    /// administrator: no API server would remove the data.
    pub async fn take_off(&self, caller: &Caller, id: &ImageId) -> Result<Arc<Record>> {
        authorize_any(caller, ImageOperation::Change)?;
        modify(id, async || {
            let record = self.find_visible(caller, id).await?;
            let record = record.ok_or_else(|| not_found(id))?;
            authorize(caller, ImageOperation::Change, &record.image)?;
            if record.image.status == Status::Deleted {
                return Ok(record);
            }
            if !caller.is_admin {
                self.enforce(Action::DeleteImage, caller, Some(&record.image))?;
                check_user_may_take_off(&record.image)?;
            }
            let mut image = record.image.clone();
            image.status = Status::Deleted;
            image.updated_at = now_after(image.updated_at);
            image.deleted_at = Some(image.updated_at);
            image.properties.clear();
            image.members.clear();
            (image.data, image.upload, image.trashed) = (None, None, None);
            self.registry.replace(image, record.version).await
        })
        .await
    }

    /// Holds a caller that is no administrator to the rules of the image API: for a new image
    /// (`current` is then as it is without any field) and for one that it changes.
    fn hold_user(
        &self,
        caller: &Caller,
        current: &Image,
        purge: Purge,
        fields: &mut Fields,
    ) -> Result<()> {
        check_fields(&self.limits, fields, None)?;
        check_user_fields(current, fields)?;
        check_immutable(caller, current, fields)?;
        self.protect_properties(caller, &current.properties, purge, &mut fields.properties)?;
        keep_state(&current.properties, &mut fields.properties);
        Ok(())
    }

    fn check_user_image(
        &self,
        caller: &Caller,
        before: Option<&Image>,
        after: &Image,
    ) -> Result<()> {
        if caller.is_admin {
            return Ok(());
        }
        check_property_quota(&self.limits, &after.properties)?;
        check_metadata_bytes(before, after)
    }
}

/// Refuses what only an API server can answer for: where the data are, which status follows
/// from that, and what the policy of the API servers decides. A value that the image has
/// already may be said again.
fn check_user_fields(current: &Image, fields: &Fields) -> Result<()> {
    let location = fields.location.as_deref();
    let other_location = location.is_some_and(|location| !location.is_empty());
    let status = fields.status.as_deref();
    let other_status = status.is_some_and(|status| status != current.status.as_str());
    let other_publicity = fields
        .is_public
        .is_some_and(|public| public != current.visibility.is_public());
    let other_owner = match &fields.owner {
        Change::Keep => false,
        Change::Clear => current.owner.is_some(),
        Change::Set(owner) => current.owner.as_ref() != Some(owner),
    };
    let refused = [
        (other_location, "location"),
        (other_status, "status"),
        (other_publicity, "is_public"),
        (other_owner, "owner"),
    ];
    if let Some((_, field)) = refused.iter().find(|(is_other, _)| *is_other) {
        let message = format!("Only administrators may set '{field}' in the registry.");
        return Err(forbidden(message));
    }
    let mut names = fields.properties.keys();
    match names.find(|name| is_reserved_property(name)) {
        Some(name) => Err(invalid(format!(
            "The property {name} is reserved for the service."
        ))),
        None => Ok(()),
    }
}

/// Keeps the state of an upload or a deletion that an API server has put into a property, which
/// users do not see and would purge.
fn keep_state(current: &Properties, new: &mut Properties) {
    if let Some(state) = current.get(STATE_PROPERTY) {
        new.insert(STATE_PROPERTY.to_owned(), state.clone());
    }
}

fn check_user_may_take_off(image: &Image) -> Result<()> {
    if image.protected {
        return Err(forbidden("Image is protected"));
    }
    let has_data = image.data.is_some() || image.upload.is_some();
    match has_data || image.properties.contains_key(STATE_PROPERTY) {
        true => Err(forbidden(
            "Only administrators may take an image with data off the registry: delete it through \
             the image API.",
        )),
        false => Ok(()),
    }
}

fn amend(caller: &Caller, mut fields: Fields, purge: Purge, image: &mut Image) -> Result<()> {
    let location = fields.location.take();
    apply(caller, fields, purge, image);
    if let Some(location) = location.filter(|location| !location.is_empty()) {
        image.data = Some(ImageData::new(
            Location::parse(&location).map_err(|error| invalid(error.to_string()))?,
            image.size_bytes,
            image.checksum.clone(),
        ));
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
