//! Lists the objects of a container, and removes objects.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde::Deserialize;

use super::super::{StoredEntry, StoredKey};
use super::account_client::{Session, SwiftRequest};
use super::names::{container_path, encode, object_path};
use super::swift_error::{SwiftError, SwiftResult};
use crate::image::{ImageId, Timestamp};

/// Entries per page of a listing.
const PAGE_ENTRIES: usize = 1_000;

/// An object in a listing.
#[derive(Deserialize)]
pub(super) struct ListedObject {
    pub(super) name: String,
    #[serde(default)]
    bytes: u64,
    /// UTC, without a time zone.
    #[serde(default)]
    last_modified: String,
}

/// Lists the objects and segments of images, one entry per image.
pub(super) async fn images_in(session: &Session, container: &str) -> SwiftResult<Vec<StoredEntry>> {
    let mut images: BTreeMap<ImageId, StoredEntry> = BTreeMap::new();
    let add = async |object: ListedObject| {
        let Some(id) = image_of(&object.name) else {
            return Ok(());
        };
        let written_at = Timestamp::parse(&object.last_modified);
        let stored = images.entry(id).or_insert(StoredEntry {
            key: StoredKey::Image(id),
            size_bytes: 0,
            written_at,
        });
        stored.size_bytes += object.bytes;
        stored.written_at = stored.written_at.max(written_at);
        Ok(())
    };
    for_each_object(session, container, "", add).await?;
    Ok(images.into_values().collect())
}

/// Calls `act` for every object of a container whose name begins with `prefix`, in the order of
/// names. Objects may be removed meanwhile, because each page is requested by the last name seen.
///
/// # Errors
/// The error of the listing or of `act`.
pub(super) async fn for_each_object(
    session: &Session,
    container: &str,
    prefix: &str,
    mut act: impl AsyncFnMut(ListedObject) -> SwiftResult<()>,
) -> SwiftResult<()> {
    let mut marker = String::new();
    loop {
        let objects = page(session, container, prefix, &marker).await?;
        match objects.last() {
            Some(last) => marker.clone_from(&last.name),
            None => return Ok(()),
        }
        for object in objects {
            act(object).await?;
        }
    }
}

/// Returns the image of an object or of one of its segments.
fn image_of(name: &str) -> Option<ImageId> {
    let is_number = |digits: &str| digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit());
    match name.rsplit_once('-') {
        Some((image, number)) if is_number(number) => image.parse().ok(),
        _ => name.parse().ok(),
    }
}

/// Removes every object of a container whose name begins with `prefix`.
pub(super) async fn remove_all(
    session: &Session,
    container: &str,
    prefix: &str,
) -> SwiftResult<()> {
    let remove_listed = async |object: ListedObject| remove(session, container, &object.name).await;
    for_each_object(session, container, prefix, remove_listed).await
}

/// Removes one object. The segments of a large object stay. Succeeds if it does not exist.
pub(super) async fn remove(session: &Session, container: &str, object: &str) -> SwiftResult<()> {
    let what = "removing an object";
    let request = SwiftRequest::new(what, Method::DELETE, object_path(container, object));
    let response = session.send(&request).await?;
    match response.status() {
        StatusCode::NOT_FOUND => Ok(()),
        status if status.is_success() => Ok(()),
        status => Err(SwiftError::status(what, status, response.headers())),
    }
}

/// Returns the next page of objects after `marker`, in the order of names. Empty if there are no
/// more, or if the container does not exist.
async fn page(
    session: &Session,
    container: &str,
    prefix: &str,
    marker: &str,
) -> SwiftResult<Vec<ListedObject>> {
    let what = "listing a container";
    let path = format!(
        "{}?format=json&limit={PAGE_ENTRIES}&prefix={}&marker={}",
        container_path(container),
        encode(prefix),
        encode(marker)
    );
    let response = session
        .send(&SwiftRequest::new(what, Method::GET, path))
        .await?;
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::NO_CONTENT => return Ok(Vec::new()),
        StatusCode::OK => {}
        status => return Err(SwiftError::status(what, status, response.headers())),
    }
    serde_json::from_slice(response.body())
        .map_err(|error| SwiftError::malformed(what, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_and_segments_are_recognized() {
        let id = "71c675ab-d94f-49cd-a114-e12490b328d9";
        let bare = "71c675abd94f49cda114e12490b328d9";
        for (name, image) in [
            (id.to_owned(), Some(id)),
            (format!("{id}-00001"), Some(id)),
            (bare.to_owned(), Some(bare)),
            (format!("{bare}-99999"), Some(bare)),
            (format!("{id}-1"), None),
            (format!("{id}-00001/x"), None),
            ("backup-00001".to_owned(), None),
        ] {
            let found = image_of(&name).map(|image| image.to_string());
            assert_eq!(found.as_deref(), image, "{name}");
        }
    }
}
