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

use super::super::{Census, Record, Registry, Version, unavailable};
use super::exchange::{Exchange, Reply};
use super::outcome::{Outcome, outcome};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Status, Usage};
use crate::wire::registry::{
    CensusMessage, MAX_LIST_RECORDS, ReadList, RecordMessage, read_records, write_owner,
    write_query, write_record,
};

/// Records that are kept to be asked for by their version.
const MOST_KNOWN: usize = 10_000;

/// How often a write is sent again when nobody knows what became of it.
const MOST_ATTEMPTS: usize = 3;

/// A registry server of ours.
pub(super) struct Records {
    exchange: Arc<Exchange>,
    known: Cache<ImageId, Known>,
    /// Identifiers of records that were logged as unreadable.
    unreadable: Mutex<HashSet<String>>,
}

/// A record, and the entity tag that the server gave it.
#[derive(Clone)]
struct Known {
    record: Arc<Record>,
    tag: Option<HeaderValue>,
}

impl Records {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        Self {
            exchange,
            known: Cache::new(MOST_KNOWN),
            unreadable: Mutex::default(),
        }
    }

    /// Reads the record of an answer and keeps it.
    fn keep(&self, reply: &Reply) -> Result<Arc<Record>> {
        let message: RecordMessage = reply.json()?;
        let record = Arc::new(Record::new(message.image, message.version));
        let known = Known {
            record: Arc::clone(&record),
            tag: reply.tag(),
        };
        self.known.insert(record.image.id, known);
        Ok(record)
    }

    /// The tag of the record in this version, if it is known.
    fn tag_of(&self, id: &ImageId, version: Version) -> Option<HeaderValue> {
        let known = self.known.get(id)?;
        (known.record.version == version).then_some(known.tag)?
    }

    /// Writes, and finds out the outcome where an answer does not come.
    async fn write(
        &self,
        method: Method,
        path: &str,
        image: &Image,
        seen: Version,
    ) -> Result<std::result::Result<Arc<Record>, Reply>> {
        let body = write_record(seen, image)?;
        let tag = self.tag_of(&image.id, seen);
        let mut is_unknown = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let seen_as = (seen, tag.as_ref());
            let sent = self
                .exchange
                .write(method.clone(), path, seen_as, body.clone());
            let failure = match sent.await {
                Ok(reply) if reply.status == StatusCode::OK => return Ok(Ok(self.keep(&reply)?)),
                Ok(reply) if is_unknown && is_overtaken(&reply) => {
                    return match self.look_for(image, seen).await? {
                        Outcome::Written(record) => Ok(Ok(record)),
                        Outcome::NotWritten | Outcome::Overtaken => Ok(Err(reply)),
                        Outcome::Unknown => Err(nobody_can_tell()),
                    };
                }
                Ok(reply) => return Ok(Err(reply)),
                Err(failure) => failure,
            };
            is_unknown |= !failure.is_unsent;
            if !is_unknown || attempt == MOST_ATTEMPTS {
                return Err(failure.into());
            }
            match self.look_for(image, seen).await? {
                Outcome::Written(record) => return Ok(Ok(record)),
                // It may be sent again, since only one write can follow the version seen.
                Outcome::NotWritten | Outcome::Overtaken => {}
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
    async fn look_for(&self, image: &Image, seen: Version) -> Result<Outcome> {
        let current = self.get(&image.id).await?;
        Ok(outcome(current, image, seen))
    }
}

fn is_overtaken(reply: &Reply) -> bool {
    matches!(reply.status, StatusCode::CONFLICT | StatusCode::NOT_FOUND)
}

fn nobody_can_tell() -> Error {
    let cause = "an answer of the registry server was lost, and others have written since";
    unavailable("The registry cannot be written.", cause)
}

#[async_trait]
impl Registry for Records {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        let known = self.known.get(id);
        let tag = known.as_ref().and_then(|known| known.tag.as_ref());
        let path = format!("/images/{id}");
        let reply = self.exchange.read("get", &path, tag).await?;
        match (reply.status, known) {
            (StatusCode::NOT_MODIFIED, Some(known)) => Ok(Some(known.record)),
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
        written.map_err(|reply| match is_overtaken(&reply) {
            // The version that was seen is not there, or the image is not.
            true => {
                let message = format!("Image {} was changed by another request.", image.id);
                Error::new(Kind::Stale, message)
            }
            false => reply.refusal(),
        })
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        let mut page = query.clone();
        let mut records: Vec<Arc<Record>> = Vec::new();
        loop {
            page.limit = (query.limit - records.len()).min(MAX_LIST_RECORDS);
            let path = format!("/images/detail?{}", write_query(&page)?);
            let reply = self.exchange.read("list", &path, None).await?;
            if reply.status != StatusCode::OK {
                return Err(reply.refusal());
            }
            let list = read_records(reply.body_of_ours()?)?;
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
