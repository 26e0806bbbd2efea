//! A wrapper that measures the operations of any store.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::{ObjectRange, Store, StoredEntry, StoredKey, Writer};
use crate::error::{Kind, Result};
use crate::image::{ImageId, Location, Upload};
use crate::metrics;
use crate::transfer::Payload;

/// Forwards to a store, and records the duration and the result of each operation.
pub(super) struct MeteredStore {
    store: Arc<dyn Store>,
}

impl MeteredStore {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    async fn measure<T>(
        &self,
        operation: &'static str,
        future: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = Instant::now();
        let result = future.await;
        // A missing object or a refused request is not a failure of the store.
        let ok = match &result {
            Ok(_) => true,
            Err(error) => matches!(
                error.kind(),
                Kind::NotFound | Kind::Invalid | Kind::Conflict
            ),
        };
        metrics::store_operation(self.name(), operation, ok, began.elapsed());
        result
    }
}

// A method added to the trait must be forwarded here, or its default would replace the store's own.
#[deny(clippy::missing_trait_methods)]
#[async_trait(?Send)]
impl Store for MeteredStore {
    fn schemes(&self) -> &'static [&'static str] {
        self.store.schemes()
    }

    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn source_schemes(&self) -> &'static [&'static str] {
        self.store.source_schemes()
    }

    fn is_local(&self) -> bool {
        self.store.is_local()
    }

    fn serves_ranges(&self) -> bool {
        self.store.serves_ranges()
    }

    async fn open(&self, location: &Location, range: ObjectRange) -> Result<Payload> {
        self.measure("open", self.store.open(location, range)).await
    }

    async fn size(&self, location: &Location) -> Result<u64> {
        self.measure("size", self.store.size(location)).await
    }

    async fn create(
        &self,
        image: &ImageId,
        upload: &Upload,
        size_hint_bytes: Option<u64>,
    ) -> Result<Box<dyn Writer>> {
        let created = self.store.create(image, upload, size_hint_bytes);
        self.measure("create", created).await
    }

    async fn delete(&self, location: &Location) -> Result<()> {
        self.measure("delete", self.store.delete(location)).await
    }

    async fn discard(&self, image: &ImageId, upload: &Upload) -> Result<()> {
        self.measure("discard", self.store.discard(image, upload))
            .await
    }

    async fn list_entries(&self) -> Result<Option<Vec<StoredEntry>>> {
        self.measure("stored", self.store.list_entries()).await
    }

    async fn discard_entry(&self, key: &StoredKey) -> Result<()> {
        self.measure("discard", self.store.discard_entry(key)).await
    }
}
