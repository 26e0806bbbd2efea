//! A registry server of ours, which is asked for whole records.
//!
//! Every read asks the server, so that the writes of all servers are seen at once. A record
//! that is known is asked for with its entity tag: the answer that it has not changed is short,
//! and spares reading it again.
//!
//! A write whose answer does not come is sent again. It may have arrived after all, also later
//! than the second one, so a refusal of that is compared with the record that is there.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use http::{HeaderValue, Method, StatusCode};
use quick_cache::sync::Cache;

use super::super::{Record, Registry, RegistryStats, Version, unavailable};
use super::endpoint::{RegistryResponse, ServerEndpoint};
use super::outcome::{Outcome, outcome};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Status, Usage};
use crate::wire::registry::{
    CensusMessage, MAX_LIST_RECORDS, ReadList, RecordMessage, read_records, write_owner,
    write_query, write_record,
};

/// Records that are kept to be asked for by their version.
const MAX_CACHED: usize = 10_000;

/// How often a write is sent again when nobody knows what became of it.
const MAX_ATTEMPTS: usize = 3;

/// A registry server of ours.
pub(super) struct RecordProtocol {
    endpoint: Arc<ServerEndpoint>,
    cached: Cache<ImageId, CachedRecord>,
    /// Identifiers of records that were logged as unreadable.
    unreadable: Mutex<HashSet<String>>,
}

/// A record, and the entity tag that the server gave it.
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

    /// Reads the record of an answer and keeps it.
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

    /// The tag of the record in this version, if it is known.
    fn tag_of(&self, id: &ImageId, version: Version) -> Option<HeaderValue> {
        let cached = self.cached.get(id)?;
        (cached.record.version == version).then_some(cached.tag)?
    }

    /// Writes, and finds out the outcome where an answer does not come.
    async fn write(
        &self,
        method: Method,
        path: &str,
        image: &Image,
        seen: Version,
    ) -> Result<std::result::Result<Arc<Record>, RegistryResponse>> {
        let body = write_record(seen, image)?;
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
                // It may be sent again, since only one write can follow the version seen.
                Outcome::NotWritten | Outcome::Superseded => {}
                Outcome::Unknown => return Err(failure.into()),
            }
        }
    }

    /// Logs the records that cannot be read, each once.
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

    /// The images of the records that could not be read.
    pub(super) fn unreadable_images(&self) -> Vec<ImageId> {
        let unreadable = self.all_unreadable();
        unreadable.iter().filter_map(|id| id.parse().ok()).collect()
    }

    /// Looks whether a write without an answer was carried out.
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

fn outcome_unknown() -> Error {
    let cause = "an answer of the registry server was lost, and others have written since";
    unavailable("The registry cannot be written.", cause)
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
            // The version that was seen is not there, or the image is not.
            true => {
                let message = format!("Image {} was changed by another request.", image.id);
                Error::new(Kind::Stale, message)
            }
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
            let list = read_records(response.body_of_ours()?)?;
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

    fn is_shared(&self) -> bool {
        true
    }
}
