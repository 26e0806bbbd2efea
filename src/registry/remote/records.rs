//! A registry server of ours, which is asked for whole records.
//!
//! Every question is asked anew, so that what any server has written is seen at once. A
//! record that is known is asked for by its version: an answer that it is still so is short,
//! and spares reading it again.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};
use quick_cache::sync::Cache;

use super::super::{Census, Record, Registry, Version};
use super::exchange::{Exchange, Reply};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Status, Usage};
use crate::wire::registry::{
    CensusMessage, ListMessage, MOST_RECORDS, RecordMessage, write_owner, write_query, write_record,
};

/// Records that are kept to be asked for by their version.
const MOST_KNOWN: usize = 10_000;

/// How often a write is sent again when nobody knows what became of it.
const MOST_ATTEMPTS: usize = 3;

/// A registry server of ours.
pub(super) struct Records {
    exchange: Arc<Exchange>,
    known: Cache<ImageId, Arc<Record>>,
}

impl Records {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        Self {
            exchange,
            known: Cache::new(MOST_KNOWN),
        }
    }

    /// Reads the record of an answer and keeps it.
    fn keep(&self, reply: &Reply) -> Result<Arc<Record>> {
        let message: RecordMessage = reply.json()?;
        let record = Arc::new(Record::new(message.image, message.version));
        self.known.insert(record.image.id, Arc::clone(&record));
        Ok(record)
    }

    /// Writes, and finds out what became of it when the answer did not come.
    async fn write(
        &self,
        method: Method,
        path: &str,
        image: &Image,
        seen: Version,
    ) -> Result<std::result::Result<Arc<Record>, Reply>> {
        let body = write_record(seen, image)?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let sent = self
                .exchange
                .write(method.clone(), path, seen, body.clone());
            let failure = match sent.await {
                Ok(reply) if reply.status == StatusCode::OK => return Ok(Ok(self.keep(&reply)?)),
                Ok(reply) => return Ok(Err(reply)),
                Err(failure) => failure,
            };
            if failure.is_unsent || attempt == MOST_ATTEMPTS {
                return Err(failure.into());
            }
            match self.get(&image.id).await? {
                Some(record) if record.version == seen + 1 && record.image == *image => {
                    return Ok(Ok(record));
                }
                // It did not arrive: it may be sent again, since only one can be the next.
                Some(record) if record.version == seen => {}
                None if seen == 0 => {}
                // Somebody else came after it, or before it: nobody can tell.
                _ => return Err(failure.into()),
            }
        }
    }
}

#[async_trait]
impl Registry for Records {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        let known = self.known.get(id);
        let version = known.as_ref().map(|record| record.version);
        let path = format!("/images/{id}");
        let reply = self.exchange.read("get", &path, version).await?;
        match (reply.status, known) {
            (StatusCode::NOT_MODIFIED, Some(record)) => Ok(Some(record)),
            (StatusCode::OK, _) => self.keep(&reply).map(Some),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            _ => Err(reply.refusal()),
        }
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        let written = self.write(Method::POST, "/images", &image, 0).await?;
        written.map_err(|reply| reply.refusal())
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        let path = format!("/images/{}", image.id);
        let written = self.write(Method::PUT, &path, &image, seen).await?;
        written.map_err(|reply| match reply.status {
            // The version that was seen is not there, or the image is not.
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => {
                let message = format!("Image {} was changed by another request.", image.id);
                Error::new(Kind::Stale, message)
            }
            _ => reply.refusal(),
        })
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        let mut page = query.clone();
        let mut records: Vec<Arc<Record>> = Vec::new();
        loop {
            page.limit = (query.limit - records.len()).min(MOST_RECORDS);
            let path = format!("/images/detail?{}", write_query(&page)?);
            let reply = self.exchange.read("list", &path, None).await?;
            if reply.status != StatusCode::OK {
                return Err(reply.refusal());
            }
            let list: ListMessage = reply.json()?;
            let is_full = list.more || list.records.len() == page.limit;
            records.extend(list.records.into_iter().map(|message| {
                let RecordMessage { version, image } = message;
                Arc::new(Record::new(image, version))
            }));
            match records.last() {
                Some(last) if is_full && records.len() < query.limit => {
                    page.marker = Some(last.image.id);
                }
                _ => return Ok(records),
            }
        }
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        let path = format!("/usage?{}", write_owner(owner));
        let reply = self.exchange.read("usage", &path, None).await?;
        match reply.status {
            StatusCode::OK => reply.json(),
            _ => Err(reply.refusal()),
        }
    }

    async fn check(&self) -> Result<Census> {
        let reply = self.exchange.read("check", "/census", None).await?;
        if reply.status != StatusCode::OK {
            return Err(reply.refusal());
        }
        let message: CensusMessage = reply.json()?;
        let counts = message.counts.iter().filter_map(|(word, count)| {
            let status = Status::from_word(word);
            status.map(|status| (status, *count))
        });
        Ok(Census::of_counts(message.usage, counts))
    }

    fn is_shared(&self) -> bool {
        true
    }
}
