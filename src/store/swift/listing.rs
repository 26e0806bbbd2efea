//! What is in a container, and removing many objects of it.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde::Deserialize;

use super::super::{StoredEntry, StoredKey};
use super::account_client::{Session, SwiftRequest};
use super::names::{container_path, encode, object_path};
use super::swift_error::{SwiftError, SwiftResult};
use crate::image::{ImageId, Timestamp};

/// Names that are asked for at a time.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    bytes: u64,
    /// UTC, without a zone.
    #[serde(default)]
    last_modified: String,
}

/// What of a container is an image's by its name, segments too: one entry an image.
pub(super) async fn images_in(session: &Session, container: &str) -> SwiftResult<Vec<StoredEntry>> {
    let mut images: BTreeMap<ImageId, StoredEntry> = BTreeMap::new();
    let mut marker = String::new();
    loop {
        let entries = page(session, container, "", &marker).await?;
        for entry in &entries {
            let Some(id) = image_of(&entry.name) else {
                continue;
            };
            let written_at = Timestamp::parse(&entry.last_modified);
            let stored = images.entry(id).or_insert(StoredEntry {
                key: StoredKey::Image(id),
                size_bytes: 0,
                written_at,
            });
            stored.size_bytes += entry.bytes;
            stored.written_at = stored.written_at.max(written_at);
        }
        match entries.into_iter().next_back() {
            Some(last) => marker = last.name,
            None => return Ok(images.into_values().collect()),
        }
    }
}

/// The image of an object or of one of its segments.
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
    let mut marker = String::new();
    loop {
        let page = names(session, container, prefix, &marker).await?;
        for name in &page {
            remove(session, container, name).await?;
        }
        match page.into_iter().next_back() {
            Some(last) => marker = last,
            None => return Ok(()),
        }
    }
}

/// Names of objects, in their order, behind `marker`; none behind the last.
pub(super) async fn names(
    session: &Session,
    container: &str,
    prefix: &str,
    marker: &str,
) -> SwiftResult<Vec<String>> {
    let entries = page(session, container, prefix, marker).await?;
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}

/// Removes one object, and what it leads to stays.
pub(super) async fn remove(session: &Session, container: &str, object: &str) -> SwiftResult<()> {
    let what = "removing an object";
    let call = SwiftRequest::new(what, Method::DELETE, object_path(container, object));
    let answer = session.call(&call).await?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(()),
        status if status.is_success() => Ok(()),
        status => Err(SwiftError::status(what, status, answer.headers())),
    }
}

/// Objects in the order of their names, behind `marker`; none when there is no such container.
async fn page(
    session: &Session,
    container: &str,
    prefix: &str,
    marker: &str,
) -> SwiftResult<Vec<Entry>> {
    let what = "listing a container";
    let path = format!(
        "{}?format=json&limit={PAGE}&prefix={}&marker={}",
        container_path(container),
        encode(prefix),
        encode(marker)
    );
    let answer = session
        .call(&SwiftRequest::new(what, Method::GET, path))
        .await?;
    match answer.status() {
        StatusCode::NOT_FOUND | StatusCode::NO_CONTENT => return Ok(Vec::new()),
        StatusCode::OK => {}
        status => return Err(SwiftError::status(what, status, answer.headers())),
    }
    serde_json::from_slice(answer.body())
        .map_err(|error| SwiftError::answer(what, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_and_their_segments() {
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
