//! Where an image's data are.
//!
//! Glance keeps a list of places for an image; here there is one.

use super::super::decrypt::Key;
use super::super::rows::{Old, OldLocation};
use crate::image::{Image, ImageData, Location, Status};
use crate::store::is_known_scheme;

/// What was read, or why an image cannot be taken over.
pub(super) type Refused<T> = Result<T, String>;

/// Gives an image its data, and its status where it turns out to have none.
pub(super) fn add_data(
    old: &Old,
    key: Option<&Key>,
    image: &mut Image,
    lost: &mut Vec<String>,
) -> Refused<()> {
    match image.status {
        // The old Glance has removed the data, or left them to nobody.
        Status::Deleted | Status::Queued | Status::Killed | Status::Saving => return Ok(()),
        Status::Active | Status::Deactivated | Status::PendingDelete => {}
    }
    let locations = locations(old, key, image.status == Status::PendingDelete);
    if locations.is_empty() {
        if image.size_bytes > 0 && image.status == Status::Active {
            image.status = Status::Deactivated;
            lost.push("it has no location, and so no data: it is deactivated".to_owned());
        }
        return Ok(());
    }
    image.data = Some(ImageData {
        location: choose(locations, lost)?,
        size_bytes: image.size_bytes,
        checksum: image.checksum.clone(),
    });
    Ok(())
}

/// Those that are not deleted, in their order. Of an image that waits for the scrubber Glance
/// marks the locations as deleted, too.
fn locations(old: &Old, key: Option<&Key>, waits: bool) -> Vec<Refused<Location>> {
    let is_of_use = |location: &&OldLocation| match location.status.as_deref() {
        Some("pending_delete") => waits,
        Some("active") | None => location.deletion.is_none() || waits,
        _ => false,
    };
    let of_use = old.locations.iter().filter(is_of_use);
    of_use.map(|place| location(&place.value, key)).collect()
}

/// The first that a store here reads; where there is none, the first that is one at all.
fn choose(mut locations: Vec<Refused<Location>>, lost: &mut Vec<String>) -> Refused<Location> {
    let is_known = |location: &Refused<Location>| {
        let scheme = location.as_ref().map(Location::scheme);
        scheme.is_ok_and(is_known_scheme)
    };
    let chosen = locations.iter().position(is_known);
    let chosen = chosen.or_else(|| locations.iter().position(Result::is_ok));
    let chosen = locations.remove(chosen.unwrap_or_default())?;
    if !is_known_scheme(chosen.scheme()) {
        lost.push(format!(
            "no store here reads its location, which has the scheme {}",
            chosen.scheme()
        ));
    }
    if !locations.is_empty() {
        let scheme = |other: &Refused<Location>| match other {
            Ok(location) => location.scheme().to_owned(),
            Err(_) => "one that cannot be read".to_owned(),
        };
        let others: Vec<String> = locations.iter().map(scheme).collect();
        lost.push(format!(
            "of its locations one is kept ({}), and not: {}",
            chosen.scheme(),
            others.join(", ")
        ));
    }
    Ok(chosen)
}

/// What is encrypted is no URI.
fn location(text: &str, key: Option<&Key>) -> Refused<Location> {
    if let Ok(location) = Location::parse(text) {
        return Ok(location);
    }
    let Some(key) = key else {
        return Err(
            "its location is no URI; if metadata_encryption_key was set, give that with \
             --encryption-key-file"
                .to_owned(),
        );
    };
    let decrypted = key.decrypt(text);
    let location = decrypted.and_then(|text| Location::parse(&text).ok());
    location.ok_or_else(|| "its location cannot be decrypted: is it the right key?".to_owned())
}
