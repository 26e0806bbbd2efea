//! Checks of requests to a registry server: the fields that users may set, and the changes of
//! status that are possible.

use crate::error::{Error, Kind, Result};
use crate::image::{Change, Fields, Image, Properties, Status};
use crate::service::errors::{forbidden, invalid};
use crate::wire::registry::{STATE_PROPERTY, is_reserved_property};

/// Refuses fields that only an API server can know or decide: the location of the data, the status
/// that follows from it, and the fields under the API servers' policy. Repeating the current value
/// is allowed.
pub(super) fn check_user_fields(current: &Image, fields: &Fields) -> Result<()> {
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

/// Keeps the property in which an API server stores the state of an upload or a deletion. Users do
/// not see it, so a purge by a user would remove it.
pub(super) fn keep_state(current: &Properties, new: &mut Properties) {
    if let Some(state) = current.get(STATE_PROPERTY) {
        new.insert(STATE_PROPERTY.to_owned(), state.clone());
    }
}

/// Refuses a deletion by a user if data would be left in a store.
pub(super) fn check_user_may_delete(image: &Image) -> Result<()> {
    if image.protected {
        return Err(forbidden("Image is protected"));
    }
    let has_data = image.data.is_some() || image.upload.is_some();
    match has_data || image.properties.contains_key(STATE_PROPERTY) {
        true => Err(forbidden(
            "Only administrators may delete an image with data in the registry: delete it through \
             the image API.",
        )),
        false => Ok(()),
    }
}

/// Parses the status that a request asks for.
pub(super) fn requested_status(fields: &Fields) -> Result<Option<Status>> {
    let Some(word) = &fields.status else {
        return Ok(None);
    };
    let status = Status::from_word(word);
    status
        .map(Some)
        .ok_or_else(|| invalid(format!("Invalid image status '{word}' for image.")))
}

/// Checks that the status may change to `next`, and that the current one is `from_state` if given.
pub(super) fn check_step(
    current: Status,
    next: Option<Status>,
    from_state: Option<&str>,
) -> Result<()> {
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
    fn status_change_needs_from_state_and_valid_transition() {
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
