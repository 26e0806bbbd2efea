//! A `glance-registry` of this software, with which whole records and documents are exchanged.
//!
//! Every read is sent to the server, so that the writes of all servers are seen at once. A cached
//! record is requested with its entity tag: the response that it has not changed is short.
//!
//! A write whose response is lost is sent again. The first attempt may have been executed, even
//! after the second one, so a refusal of a repeated write is compared with the current record.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use http::{HeaderValue, Method, StatusCode};
use quick_cache::sync::Cache;

use super::super::documents::{Document, DocumentKey, DocumentQuery};

use super::super::{Record, Registry, RegistryStats, Version, refusals};
use super::documents;
use super::endpoint::{RegistryResponse, ServerEndpoint};
use super::outcome::{MAX_ATTEMPTS, Outcome, outcome, outcome_unknown};
use crate::error::Result;
use crate::image::{Image, ImageId, Query, Status, Usage};
use crate::wire::registry::{
    CensusMessage, MAX_LIST_RECORDS, ReadList, RecordMessage, read_records, write_owner,
    write_query, write_record,
};

/// Maximum number of cached records.
const MAX_CACHED: usize = 10_000;

/// The client of such a server.
pub(super) struct RecordProtocol {
    endpoint: Arc<ServerEndpoint>,
    cached: Cache<ImageId, CachedRecord>,
    /// Identifiers of records that were logged as unreadable.
    unreadable: Mutex<HashSet<String>>,
}

/// A record and its entity tag.
#[derive(Clone)]
struct CachedRecord {
    record: Arc<Record>,
    tag: Option<HeaderValue>,
}

impl RecordProtocol {
    pub(super) fn new(endpoint: Arc<ServerEndpoint>) -> Self {
        Self {
            endpoint,
            cached: Cache::new(MAX_CACHED),
            unreadable: Mutex::default(),
        }
    }

    /// Parses the record in a response and caches it.
    fn cache_record(&self, response: &RegistryResponse) -> Result<Arc<Record>> {
        let message: RecordMessage = response.json()?;
        let record = Arc::new(Record::new(message.image, message.version));
        let cached = CachedRecord {
            record: Arc::clone(&record),
            tag: response.tag(),
        };
        self.cached.insert(record.image.id, cached);
        Ok(record)
    }

    /// Returns the entity tag of this version of a record if it is cached.
    fn tag_of(&self, id: &ImageId, version: Version) -> Option<HeaderValue> {
        let cached = self.cached.get(id)?;
        (cached.record.version == version).then_some(cached.tag)?
    }

    /// Sends a write, and determines its outcome if a response is lost.
    async fn write(
        &self,
        method: Method,
        path: &str,
        image: &Image,
        seen: Version,
    ) -> Result<std::result::Result<Arc<Record>, RegistryResponse>> {
        let body = write_record(seen, image)?;
        // The version alone does not identify the seen record after the registry was restored from
        // a backup: versions are assigned again.
        let tag = self.tag_of(&image.id, seen);
        let mut is_unknown = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let seen_as = (seen, tag.as_ref());
            let sent = self
                .endpoint
                .write(method.clone(), path, seen_as, body.clone());
            let failure = match sent.await {
                Ok(response) if response.status == StatusCode::OK => {
                    return Ok(Ok(self.cache_record(&response)?));
                }
                Ok(response) if is_unknown && is_conflict(&response) => {
                    return match self.fetch_outcome(image, seen).await? {
                        Outcome::Written(record) => Ok(Ok(record)),
                        Outcome::NotWritten | Outcome::Superseded => Ok(Err(response)),
                        Outcome::Unknown => Err(outcome_unknown()),
                    };
                }
                Ok(response) => return Ok(Err(response)),
                Err(failure) => failure,
            };
            is_unknown |= !failure.is_unsent;
            if !is_unknown || attempt == MAX_ATTEMPTS {
                return Err(failure.into());
            }
            match self.fetch_outcome(image, seen).await? {
                Outcome::Written(record) => return Ok(Ok(record)),
                // Sending it again is safe: only one write can follow the version that was seen.
                Outcome::NotWritten | Outcome::Superseded => {}
                Outcome::Unknown => return Err(failure.into()),
            }
        }
    }

    /// Logs each unreadable record once.
    fn note_unreadable(&self, list: &ReadList) {
        for (image_id, reason) in &list.unreadable {
            if self.all_unreadable().insert(image_id.clone()) {
                tracing::error!(
                    image_id,
                    reason,
                    "a record of the registry server cannot be read; it is missing from lists"
                );
            }
        }
    }

    fn all_unreadable(&self) -> MutexGuard<'_, HashSet<String>> {
        let unreadable = self.unreadable.lock();
        unreadable.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the images whose records could not be read.
    pub(super) fn unreadable_images(&self) -> Vec<ImageId> {
        let unreadable = self.all_unreadable();
        unreadable.iter().filter_map(|id| id.parse().ok()).collect()
    }

    /// Determines the outcome of a write without a response.
    async fn fetch_outcome(&self, image: &Image, seen: Version) -> Result<Outcome> {
        let current = self.get(&image.id).await?;
        Ok(outcome(current, image, seen))
    }
}

fn is_conflict(response: &RegistryResponse) -> bool {
    matches!(
        response.status,
        StatusCode::CONFLICT | StatusCode::NOT_FOUND
    )
}

#[async_trait]
impl Registry for RecordProtocol {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        let cached = self.cached.get(id);
        let tag = cached.as_ref().and_then(|cached| cached.tag.as_ref());
        let path = format!("/images/{id}");
        let response = self.endpoint.read("get", &path, tag).await?;
        match (response.status, cached) {
            (StatusCode::NOT_MODIFIED, Some(cached)) => Ok(Some(cached.record)),
            (StatusCode::OK, _) => self.cache_record(&response).map(Some),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            _ => Err(response.refusal()),
        }
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        let written = self.write(Method::POST, "/images", &image, 0).await?;
        written.map_err(|response| response.refusal())
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        let path = format!("/images/{}", image.id);
        let written = self.write(Method::PUT, &path, &image, seen).await?;
        written.map_err(|response| match is_conflict(&response) {
            // The record has another version, or the image does not exist.
            true => refusals::changed_meanwhile(&image.id),
            false => response.refusal(),
        })
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        let mut page = query.clone();
        let mut records: Vec<Arc<Record>> = Vec::new();
        loop {
            page.limit = (query.limit - records.len()).min(MAX_LIST_RECORDS);
            let path = format!("/images/detail?{}", write_query(&page)?);
            let response = self.endpoint.read("list", &path, None).await?;
            if response.status != StatusCode::OK {
                return Err(response.refusal());
            }
            let list = read_records(response.record_body()?)?;
            let len = list.records.len() + list.unreadable.len();
            let is_full = list.more || len == page.limit;
            self.note_unreadable(&list);
            records.extend(list.records.into_iter().map(|message| {
                let RecordMessage { version, image } = message;
                Arc::new(Record::new(image, version))
            }));
            match list.last {
                Some(last) if is_full && records.len() < query.limit => page.marker = Some(last),
                _ => return Ok(records),
            }
        }
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        let path = format!("/usage?{}", write_owner(owner));
        let response = self.endpoint.read("usage", &path, None).await?;
        match response.status {
            StatusCode::OK => response.json(),
            _ => Err(response.refusal()),
        }
    }

    async fn check(&self) -> Result<RegistryStats> {
        let response = self.endpoint.read("check", "/census", None).await?;
        if response.status != StatusCode::OK {
            return Err(response.refusal());
        }
        let message: CensusMessage = response.json()?;
        let counts = message.counts.iter().filter_map(|(word, count)| {
            let status = Status::from_word(word);
            status.map(|status| (status, *count))
        });
        Ok(RegistryStats::from_counts(message.usage, counts))
    }

    async fn get_document(&self, key: &DocumentKey) -> Result<Option<Arc<Document>>> {
        documents::get(&self.endpoint, key).await
    }

    async fn put_document(&self, document: Document, seen: Version) -> Result<Arc<Document>> {
        documents::put(&self.endpoint, &document, seen).await
    }

    async fn delete_document(&self, key: &DocumentKey, seen: Version) -> Result<()> {
        documents::delete(&self.endpoint, key, seen).await
    }

    async fn list_documents(&self, query: &DocumentQuery) -> Result<Vec<Arc<Document>>> {
        documents::list(&self.endpoint, query).await
    }

    fn is_shared(&self) -> bool {
        true
    }
}
