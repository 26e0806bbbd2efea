//! Where an image's data are.
//!
//! Glance keeps a list of places for an image; here there is one.

use super::super::super::places::Places;
use super::super::decrypt::Key;
use super::super::rows::{Old, OldLocation};
use crate::image::{Image, ImageData, Location, Status};

/// The context in which a location is read.
pub(in super::super) struct Reach<'a> {
    /// The key that locations were encrypted with.
    pub(in super::super) key: Option<&'a Key>,
    /// The stores of this node.
    pub(in super::super) places: &'a Places,
}

/// What was read, or why an image cannot be taken over.
pub(super) type Refused<T> = Result<T, String>;

/// Gives an image its data, and its status where it turns out to have none.
pub(super) fn add_data(
    old: &Old,
    reach: &Reach<'_>,
    image: &mut Image,
    lost: &mut Vec<String>,
) -> Refused<()> {
    match image.status {
        // The old Glance has removed the data, or left them to nobody.
        Status::Deleted | Status::Queued | Status::Killed | Status::Saving => return Ok(()),
        Status::Active | Status::Deactivated | Status::PendingDelete => {}
    }
    let locations = locations(old, reach, image.status == Status::PendingDelete);
    if locations.is_empty() {
        if image.size_bytes > 0 && image.status == Status::Active {
            image.status = Status::Deactivated;
            lost.push("it has no location, and so no data: it is deactivated".to_owned());
        }
        return Ok(());
    }
    image.data = Some(ImageData::new(
        choose(locations, lost)?,
        image.size_bytes,
        image.checksum.clone(),
    ));
    Ok(())
}

/// A location, and why no store of this node reads it, if none does.
struct Place {
    location: Location,
    unread: Option<String>,
}

/// Those that are not deleted, in their order. Of an image that waits for the scrubber Glance
/// marks the locations as deleted, too.
fn locations(old: &Old, reach: &Reach<'_>, waits: bool) -> Vec<Refused<Place>> {
    let is_of_use = |location: &&OldLocation| match location.status.as_deref() {
        Some("pending_delete") => waits,
        Some("active") | None => location.deletion.is_none() || waits,
        _ => false,
    };
    let of_use = old.locations.iter().filter(is_of_use);
    of_use.map(|old| place(old, reach)).collect()
}

fn place(old: &OldLocation, reach: &Reach<'_>) -> Refused<Place> {
    let store = old.store.as_deref();
    let location = reach.places.moved(location(&old.value, reach.key)?, store);
    let unread = reach.places.check(&location, store).err();
    Ok(Place { location, unread })
}

/// The first that a store here reads; where there is none, the first that is one at all.
fn choose(mut places: Vec<Refused<Place>>, lost: &mut Vec<String>) -> Refused<Location> {
    let is_read = |place: &Refused<Place>| {
        let place = place.as_ref();
        place.is_ok_and(|place| place.unread.is_none())
    };
    let chosen = places.iter().position(is_read);
    let chosen = chosen.or_else(|| places.iter().position(Result::is_ok));
    let Place { location, unread } = places.remove(chosen.unwrap_or_default())?;
    lost.extend(unread);
    if !places.is_empty() {
        let scheme = |other: &Refused<Place>| match other {
            Ok(place) => place.location.scheme().to_owned(),
            Err(_) => "one that cannot be read".to_owned(),
        };
        let others: Vec<String> = places.iter().map(scheme).collect();
        lost.push(format!(
            "of its locations one is kept ({}), and not: {}",
            location.scheme(),
            others.join(", ")
        ));
    }
    Ok(location)
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
