//! Rules that hold under a registry that loses every race, which no real one can be made to do.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Cleaner, Cleanup, Limits, Service, now};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Status, Timestamp, Upload, Usage};
use crate::md5::HashEngine;
use crate::registry::{Record, Registry, RegistryStats, Version};
use crate::store::Stores;
use crate::transfer::BlockPool;

/// Holds one record. Refuses every write as overtaken while `is_contended`.
struct OneRecord {
    record: Mutex<Arc<Record>>,
    is_contended: bool,
}

#[async_trait]
impl Registry for OneRecord {
    async fn get(&self, _: &ImageId) -> Result<Option<Arc<Record>>> {
        Ok(Some(Arc::clone(&self.record.lock().unwrap())))
    }

    async fn insert(&self, _: Image) -> Result<Arc<Record>> {
        Err(Error::new(Kind::Conflict, "taken"))
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        if self.is_contended {
            return Err(Error::new(Kind::Stale, "changed"));
        }
        let record = Arc::new(Record::new(image, seen + 1));
        *self.record.lock().unwrap() = Arc::clone(&record);
        Ok(record)
    }

    async fn list(&self, _: &Query) -> Result<Vec<Arc<Record>>> {
        Ok(vec![Arc::clone(&self.record.lock().unwrap())])
    }

    async fn usage(&self, _: Option<&str>) -> Result<Usage> {
        Ok(Usage::default())
    }

    async fn check(&self) -> Result<RegistryStats> {
        Ok(RegistryStats::default())
    }
}

fn service(image: Image, is_contended: bool) -> Service {
    let registry = OneRecord {
        record: Mutex::new(Arc::new(Record::new(image, 1))),
        is_contended,
    };
    let limits = Limits {
        node_name: "here".to_owned(),
        upload_window_bytes: 1 << 20,
        ..Limits::default()
    };
    Service::new(
        Arc::new(registry),
        Stores::none(),
        HashEngine::start(1).unwrap(),
        BlockPool::new(0),
        limits,
        Cleaner::new().0,
    )
}

/// An image whose upload began in this process and is not under way any more.
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
    });
    image
}

#[tokio::test]
async fn a_cleanup_that_loses_every_race_has_failed() {
    let image = lost_upload();
    let error = service(image.clone(), true).clean(&image.id).await;
    assert_eq!(error.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test]
async fn a_scrub_that_loses_every_race_has_failed() {
    let mut image = Image::queued(ImageId::random(), now());
    image.status = Status::PendingDelete;
    let error = service(image.clone(), true)
        .finalize_delete(&image.id)
        .await;
    assert_eq!(error.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test]
async fn a_lost_upload_is_killed() {
    let image = lost_upload();
    let service = service(image.clone(), false);
    // The service has no store, so the data cannot be removed.
    service.clean(&image.id).await.unwrap_err();
    let record = service.registry.get(&image.id).await.unwrap().unwrap();
    assert_eq!(record.image.status, Status::Killed);
}
