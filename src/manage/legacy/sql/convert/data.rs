//! Converts the locations of an image.

use super::super::super::location_map::LocationMap;
use super::super::decrypt::Key;
use super::super::rows::{LegacyImage, LegacyLocation};
use crate::image::{Image, ImageData, Location, Status};

/// The options of a conversion.
pub(in super::super) struct ConversionContext<'a> {
    /// The key with which locations were encrypted.
    pub(in super::super) key: Option<&'a Key>,
    /// The stores of this server.
    pub(in super::super) location_map: &'a LocationMap,
}

/// A converted value, or the reason why the image cannot be imported.
pub(super) type Conversion<T> = Result<T, String>;

/// Sets the data of an image. Deactivates an active image without a location.
pub(super) fn add_data(
    old: &LegacyImage,
    context: &ConversionContext<'_>,
    image: &mut Image,
    lost: &mut Vec<String>,
) -> Conversion<()> {
    match image.status {
        // These images have no data, or data that Glance has abandoned.
        Status::Deleted | Status::Queued | Status::Killed | Status::Saving => return Ok(()),
        Status::Active | Status::Deactivated | Status::PendingDelete => {}
    }
    let locations = locations(old, context, image.status == Status::PendingDelete);
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

/// A location, and the reason if no store of this server can read it.
struct MappedLocation {
    location: Location,
    unread: Option<String>,
}

/// Returns the locations that are not deleted, in their order. While an image waits for the scrubber,
/// Glance marks its locations as deleted too, so those are included.
fn locations(
    old: &LegacyImage,
    context: &ConversionContext<'_>,
    waits: bool,
) -> Vec<Conversion<MappedLocation>> {
    let is_of_use = |location: &&LegacyLocation| match location.status.as_deref() {
        Some("pending_delete") => waits,
        Some("active") | None => location.deletion.is_none() || waits,
        _ => false,
    };
    let of_use = old.locations.iter().filter(is_of_use);
    of_use.map(|old| map_location(old, context)).collect()
}

fn map_location(
    old: &LegacyLocation,
    context: &ConversionContext<'_>,
) -> Conversion<MappedLocation> {
    let store = old.store.as_deref();
    let location = context
        .location_map
        .moved(location(&old.value, context.key)?, store);
    let unread = context.location_map.check(&location, store).err();
    Ok(MappedLocation { location, unread })
}

/// Chooses the first location that a store of this server can read, else the first valid one.
fn choose(
    mut candidates: Vec<Conversion<MappedLocation>>,
    lost: &mut Vec<String>,
) -> Conversion<Location> {
    let is_read = |place: &Conversion<MappedLocation>| {
        let place = place.as_ref();
        place.is_ok_and(|place| place.unread.is_none())
    };
    let chosen = candidates.iter().position(is_read);
    let chosen = chosen.or_else(|| candidates.iter().position(Result::is_ok));
    let MappedLocation { location, unread } = candidates.remove(chosen.unwrap_or_default())?;
    lost.extend(unread);
    if !candidates.is_empty() {
        let scheme = |other: &Conversion<MappedLocation>| match other {
            Ok(place) => place.location.scheme().to_owned(),
            Err(_) => "one that cannot be read".to_owned(),
        };
        let others: Vec<String> = candidates.iter().map(scheme).collect();
        lost.push(format!(
            "of its locations one is kept ({}), and not: {}",
            location.scheme(),
            others.join(", ")
        ));
    }
    Ok(location)
}

/// Parses a location. Text that is not a URI is decrypted.
fn location(text: &str, key: Option<&Key>) -> Conversion<Location> {
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
