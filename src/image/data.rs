//! Complete data of an image: their size, checksum and the locations of their copies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Checksum, Location};

/// Complete image data in one or several stores.
///
/// Kept apart from the size and checksum that clients see: an administrator may restate the
/// size of an active image, which does not change what is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredData", into = "StoredData")]
pub struct ImageData {
    first: DataLocation,
    others: Vec<DataLocation>,
    /// Number of bytes.
    pub size_bytes: u64,
    /// The MD5 of the bytes, if it was computed.
    pub checksum: Option<Checksum>,
}

/// One copy of an image's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataLocation {
    /// The object in its store.
    pub uri: Location,
    /// Whether the copy may be read.
    #[serde(default)]
    pub status: LocationStatus,
    /// Free-form metadata of the location (v2).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Whether a copy may be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocationStatus {
    /// Complete and served.
    #[default]
    Active,
    /// Waits for the scrubber.
    PendingDelete,
}

impl ImageData {
    /// Returns data with one copy.
    pub fn new(location: Location, size_bytes: u64, checksum: Option<Checksum>) -> Self {
        Self {
            first: DataLocation::active(location),
            others: Vec::new(),
            size_bytes,
            checksum,
        }
    }

    /// Returns the location that is served: the first active one. v1 shows this one alone.
    pub fn location(&self) -> &Location {
        let mut active = self.locations().filter(|copy| copy.is_active());
        &active.next().unwrap_or(&self.first).uri
    }

    /// Returns all copies, in the order in which they are tried. There is at least one.
    pub fn locations(&self) -> impl Iterator<Item = &DataLocation> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Adds a copy at the end.
    pub fn add_location(&mut self, location: DataLocation) {
        self.others.push(location);
    }

    /// Returns true if records of format 1, which have one location, can hold these data.
    pub(super) fn fits_format_1(&self) -> bool {
        self.others.is_empty() && self.first.is_plain()
    }
}

impl DataLocation {
    /// Returns an active location without metadata.
    pub fn active(uri: Location) -> Self {
        Self {
            uri,
            status: LocationStatus::Active,
            metadata: BTreeMap::new(),
        }
    }

    fn is_active(&self) -> bool {
        self.status == LocationStatus::Active
    }

    fn is_plain(&self) -> bool {
        self.is_active() && self.metadata.is_empty()
    }
}

/// The stored form: `location` in format 1, `locations` in format 2.
#[derive(Clone, Serialize, Deserialize)]
struct StoredData {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    locations: Vec<DataLocation>,
    size_bytes: u64,
    checksum: Option<Checksum>,
}

/// Stored data name no location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the image's data have no location")]
struct NoLocation;

impl TryFrom<StoredData> for ImageData {
    type Error = NoLocation;

    fn try_from(stored: StoredData) -> Result<Self, NoLocation> {
        let single = stored.location.map(DataLocation::active);
        let mut locations = single.into_iter().chain(stored.locations);
        Ok(Self {
            first: locations.next().ok_or(NoLocation)?,
            others: locations.collect(),
            size_bytes: stored.size_bytes,
            checksum: stored.checksum,
        })
    }
}

impl From<ImageData> for StoredData {
    fn from(data: ImageData) -> Self {
        let is_single = data.fits_format_1();
        let (first, others) = (data.first, data.others);
        let (location, locations) = match is_single {
            true => (Some(first.uri), Vec::new()),
            false => (None, std::iter::once(first).chain(others).collect()),
        };
        Self {
            location,
            locations,
            size_bytes: data.size_bytes,
            checksum: data.checksum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    #[test]
    fn first_active_location_is_served() {
        let mut data = ImageData::new(uri("file:///a"), 3, None);
        data.add_location(DataLocation::active(uri("file:///b")));
        assert_eq!(data.location(), &uri("file:///a"));
        data.first.status = LocationStatus::PendingDelete;
        assert_eq!(data.location(), &uri("file:///b"));
        data.others.clear();
        assert_eq!(data.location(), &uri("file:///a"));
    }

    #[test]
    fn one_plain_location_is_stored_as_in_format_1() {
        let mut data = ImageData::new(uri("file:///a"), 3, None);
        let json = serde_json::to_value(&data).unwrap();
        let format_1 =
            serde_json::json!({"location": "file:///a", "size_bytes": 3, "checksum": null});
        assert_eq!(json, format_1);
        data.add_location(DataLocation::active(uri("file:///b")));
        data.first.metadata.insert("store".into(), "fast".into());
        let json = serde_json::to_value(&data).unwrap();
        assert!(json.get("location").is_none(), "{json}");
        assert_eq!(serde_json::from_value::<ImageData>(json).unwrap(), data);
    }

    #[test]
    fn data_without_a_location_are_refused() {
        let none = serde_json::json!({"size_bytes": 3, "checksum": null});
        assert!(serde_json::from_value::<ImageData>(none).is_err());
    }
}
