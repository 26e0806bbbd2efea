//! Background work under a registry that refuses every write, and after a lost response.

use std::sync::atomic::Ordering;

use super::fakes::{MemoryStore, service};
use crate::error::Kind;
use crate::image::{Image, ImageId, Status, Timestamp, Upload};
use crate::registry::Registry;
use crate::service::Cleanup;
use crate::service::clock::now;

/// Returns an image that waits for an upload which this process began and does not run.
fn lost_upload() -> Image {
    let mut image = Image::queued(ImageId::random(), now());
    image.status = Status::Saving;
    image.upload = Some(Upload {
        id: uuid::Uuid::new_v4(),
        store: "file".to_owned(),
        started_at: Timestamp::from_micros(i64::MAX),
        reserved_bytes: 0,
        node: Some("here".to_owned()),
        process: None,
        on_failure: Default::default(),
    });
    image
}

#[tokio::test]
async fn cleanup_fails_after_too_many_lost_races() {
    let image = lost_upload();
    let (service, _, _queue) = service(image.clone(), true, MemoryStore::default());
    let error = service.maintenance().clean(&image.id).await;
    assert_eq!(error.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test]
async fn scrub_fails_after_too_many_lost_races() {
    let mut image = Image::queued(ImageId::random(), now());
    image.status = Status::PendingDelete;
    let (service, _, _queue) = service(image.clone(), true, MemoryStore::default());
    let error = service.maintenance().finalize_delete(&image.id).await;
    assert_eq!(error.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test]
async fn cleanup_kills_image_of_lost_upload() {
    let image = lost_upload();
    let store = MemoryStore::default();
    store.is_read_only.store(true, Ordering::Relaxed);
    let (service, registry, _queue) = service(image.clone(), false, store);
    service.maintenance().clean(&image.id).await.unwrap_err();
    let record = registry.get(&image.id).await.unwrap().unwrap();
    assert_eq!(record.image.status, Status::Killed);
    assert!(record.image.upload.is_some(), "its bytes remain");
}
