//! The effect of a failed upload on the image, as the API chooses it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::task::LocalSet;

use super::fakes::{MemoryStore, service};
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, Image, ImageId, OnFailure, Status, Upload};
use crate::registry::Registry;
use crate::service::clock::now;
use crate::service::{Cleanup, DataSource, UploadData};

/// Yields these pieces and then the error, if there is one.
struct Pieces(VecDeque<Bytes>, Option<Kind>);

impl DataSource for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match (self.0.pop_front(), self.1) {
            (Some(bytes), _) => Ok(Some(bytes)),
            (None, Some(kind)) => Err(Error::new(kind, "the source failed")),
            (None, None) => Ok(None),
        }
    }
}

fn data(on_failure: OnFailure, failure: Option<Kind>) -> UploadData<Pieces> {
    UploadData {
        source: Pieces([Bytes::from_static(b"bytes")].into(), failure),
        len_bytes: None,
        is_octets: true,
        stated_md5: None,
        on_failure,
    }
}

fn queued_image() -> Image {
    let mut image = Image::queued(ImageId::random(), now());
    image.name = Some("image".to_owned());
    image.disk_format = Some("raw".to_owned());
    image.container_format = Some("bare".to_owned());
    image
}

fn admin() -> Caller {
    Caller::administrator()
}

#[tokio::test]
async fn kill_leaves_killed_image_without_bytes() {
    let caller = admin();
    let (image, store) = (queued_image(), MemoryStore::default());
    let (service, registry, _queue) = service(image.clone(), false, store.clone());
    let upload = data(OnFailure::Kill, Some(Kind::Disconnected));
    let attached = service.attach_data(&caller, &image.id, None, upload);
    let error = LocalSet::new().run_until(attached).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Disconnected);
    let record = registry.get(&image.id).await.unwrap().unwrap();
    assert_eq!(record.image.status, Status::Killed);
    assert_eq!((record.image.upload.clone(), store.count()), (None, 0));
}

#[tokio::test]
async fn requeue_leaves_queued_image_that_takes_new_data() {
    let caller = admin();
    let (image, store) = (queued_image(), MemoryStore::default());
    let (service, registry, _queue) = service(image.clone(), false, store.clone());
    let local = LocalSet::new();
    let upload = data(OnFailure::Requeue, Some(Kind::Disconnected));
    let attached = service.attach_data(&caller, &image.id, None, upload);
    local.run_until(attached).await.unwrap_err();
    let record = registry.get(&image.id).await.unwrap().unwrap();
    assert_eq!(record.image.status, Status::Queued);
    assert_eq!((record.image.upload.clone(), store.count()), (None, 0));
    // And again, with success.
    let upload = data(OnFailure::Requeue, None);
    let attached = service.attach_data(&caller, &image.id, None, upload);
    let record = local.run_until(attached).await.unwrap();
    assert_eq!(record.image.status, Status::Active);
    assert_eq!(record.image.size_bytes, 5);
    assert_eq!(record.image.name, image.name);
}

#[tokio::test]
async fn requeue_waits_until_cleaner_has_removed_bytes() {
    let caller = admin();
    let (image, store) = (queued_image(), MemoryStore::default());
    let (service, registry, _queue) = service(image.clone(), false, store.clone());
    store.is_read_only.store(true, Ordering::Relaxed);
    let upload = data(OnFailure::Requeue, Some(Kind::Timeout));
    let attached = service.attach_data(&caller, &image.id, None, upload);
    LocalSet::new().run_until(attached).await.unwrap_err();
    let record = registry.get(&image.id).await.unwrap().unwrap();
    assert_eq!(record.image.status, Status::Killed);
    assert!(record.image.upload.is_some() && store.count() == 1);
    store.is_read_only.store(false, Ordering::Relaxed);
    service.maintenance().clean(&image.id).await.unwrap();
    let record = registry.get(&image.id).await.unwrap().unwrap();
    assert_eq!(record.image.status, Status::Queued);
    assert_eq!((record.image.upload.clone(), store.count()), (None, 0));
}

#[tokio::test]
async fn requeue_after_interrupted_process_removes_bytes_first() {
    let (mut image, store) = (queued_image(), MemoryStore::default());
    image.status = Status::Saving;
    let upload = Upload {
        id: uuid::Uuid::new_v4(),
        store: "file".to_owned(),
        started_at: now(),
        reserved_bytes: 5,
        node: Some("here".to_owned()),
        process: None,
        on_failure: OnFailure::Requeue,
    };
    store
        .uploads
        .lock()
        .unwrap()
        .insert(upload.id, b"bytes".to_vec());
    image.upload = Some(upload);
    let (service, registry, _queue) = service(image.clone(), false, store.clone());
    let recovered = service.maintenance().recover(|_| false).await.unwrap();
    assert_eq!(recovered.interrupted_uploads, 1);
    service.maintenance().clean(&image.id).await.unwrap();
    let record = registry.get(&image.id).await.unwrap().unwrap();
    assert_eq!(record.image.status, Status::Queued);
    assert_eq!((record.image.upload.clone(), store.count()), (None, 0));
}
