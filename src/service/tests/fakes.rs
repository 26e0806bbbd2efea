//! A registry of one record and a store in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Location, Query, Upload, Usage};
use crate::md5::HashEngine;
use crate::registry::{Record, Registry, RegistryStats, Version};
use crate::service::{Cleaner, CleanupQueue, Limits, Service, ServiceParts};
use crate::store::{ObjectRange, Store, Stores, Writer};
use crate::transfer::{BlockPool, Payload};

/// Holds one record.
pub(super) struct OneRecord {
    record: Mutex<Arc<Record>>,
    /// True to refuse every write as stale, which no real registry can be made to do.
    is_contended: bool,
}

#[async_trait]
impl Registry for OneRecord {
    async fn get(&self, _: &ImageId) -> Result<Option<Arc<Record>>> {
        Ok(Some(Arc::clone(&self.record.lock().unwrap())))
    }

    async fn insert(&self, _: Image) -> Result<Arc<Record>> {
        Err(Error::new(Kind::Conflict, "exists"))
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        let mut record = self.record.lock().unwrap();
        if self.is_contended || record.version != seen {
            return Err(Error::new(Kind::Stale, "changed"));
        }
        *record = Arc::new(Record::new(image, seen + 1));
        Ok(Arc::clone(&record))
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

/// Keeps the bytes of uploads in memory.
#[derive(Clone, Default)]
pub(super) struct MemoryStore {
    pub(super) uploads: Arc<Mutex<HashMap<Uuid, Vec<u8>>>>,
    /// True to fail every removal.
    pub(super) is_read_only: Arc<AtomicBool>,
}

impl MemoryStore {
    /// Returns the number of uploads with bytes in the store.
    pub(super) fn count(&self) -> usize {
        self.uploads.lock().unwrap().len()
    }

    fn remove(&self, upload: &Uuid) -> Result<()> {
        if self.is_read_only.load(Ordering::Relaxed) {
            return Err(Error::internal("read-only"));
        }
        self.uploads.lock().unwrap().remove(upload);
        Ok(())
    }
}

#[async_trait(?Send)]
impl Store for MemoryStore {
    fn schemes(&self) -> &'static [&'static str] {
        &["file"]
    }

    async fn open(&self, _: &Location, _: ObjectRange) -> Result<Payload> {
        Ok(Payload::Empty)
    }

    async fn size(&self, _: &Location) -> Result<u64> {
        Ok(0)
    }

    async fn create(
        &self,
        _: &ImageId,
        upload: &Upload,
        _: Option<u64>,
    ) -> Result<Box<dyn Writer>> {
        self.uploads.lock().unwrap().insert(upload.id, Vec::new());
        Ok(Box::new(MemoryWriter {
            store: self.clone(),
            upload: upload.id,
        }))
    }

    async fn delete(&self, _: &Location) -> Result<()> {
        Ok(())
    }

    async fn discard(&self, _: &ImageId, upload: &Upload) -> Result<()> {
        self.remove(&upload.id)
    }
}

struct MemoryWriter {
    store: MemoryStore,
    upload: Uuid,
}

#[async_trait(?Send)]
impl Writer for MemoryWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let mut uploads = self.store.uploads.lock().unwrap();
        uploads.entry(self.upload).or_default().extend(&bytes);
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Location> {
        Location::parse("file:///image").map_err(Error::internal)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.store.remove(&self.upload)
    }
}

/// Returns a service over one image, its registry, and the queue of its cleaner.
pub(super) fn service(
    image: Image,
    is_contended: bool,
    store: MemoryStore,
) -> (Service, Arc<OneRecord>, CleanupQueue) {
    let registry = Arc::new(OneRecord {
        record: Mutex::new(Arc::new(Record::new(image, 1))),
        is_contended,
    });
    let (cleaner, queue) = Cleaner::new();
    let service = Service::new(ServiceParts {
        registry: Arc::clone(&registry) as Arc<dyn Registry>,
        stores: Stores::new(vec![Arc::new(store) as Arc<dyn Store>], "file").unwrap(),
        hashes: HashEngine::start(1).unwrap(),
        blocks: BlockPool::new(0),
        limits: Limits {
            node_name: "here".to_owned(),
            image_size_cap_bytes: 1 << 30,
            upload_window_bytes: 1 << 20,
            ..Limits::default()
        },
        cleaner,
        cache: None,
    });
    (service, registry, queue)
}
