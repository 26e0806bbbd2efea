//! One object on a web server, asked for again where it was cut.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, response};

use super::answer::{Held, Version, held, unavailable};
use super::ask::Asker;
use super::upto::upto;
use crate::error::{Error, Result};
use crate::image::HttpUri;
use crate::transfer::{Origin, Part};

/// An object whose length the registry knows.
pub(super) struct HttpOrigin {
    asker: Arc<Asker>,
    uri: HttpUri,
    object_bytes: u64,
    first: Option<First>,
}

/// What the first answer said.
struct First {
    version: Option<Version>,
}

impl HttpOrigin {
    pub(super) fn new(asker: Arc<Asker>, uri: HttpUri, object_bytes: u64) -> Self {
        Self {
            asker,
            uri,
            object_bytes,
            first: None,
        }
    }

    fn version(&self) -> Option<&Version> {
        self.first.as_ref()?.version.as_ref()
    }

    /// A whole object is asked for without a range, which every server understands.
    fn headers(&self, offset: u64, len: u64) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if (offset, len) != (0, self.object_bytes) {
            let last = offset + len - 1;
            let range = HeaderValue::try_from(format!("bytes={offset}-{last}"));
            headers.insert(RANGE, range.map_err(Error::internal)?);
            if let Some(version) = self.version().and_then(Version::as_condition) {
                headers.insert(IF_RANGE, version.clone());
            }
        }
        Ok(headers)
    }

    /// Checks that an answer holds the bytes that were asked for, of the object as it was.
    fn check(&mut self, head: &response::Parts, offset: u64, len: u64) -> Result<()> {
        let Held {
            offset: begins,
            len: holds,
            total,
        } = held(head)?;
        if total != self.object_bytes {
            return Err(Error::internal(format!(
                "the object has {total} bytes where the registry has {}",
                self.object_bytes
            )));
        }
        let version = Version::of(head);
        if let Some(first) = &self.first {
            // Without an exact version the rest could be another object's.
            if first.version.is_none() || first.version != version {
                return Err(Error::internal(
                    "the object has changed, or the server gives no version by which to tell",
                ));
            }
        }
        if begins != offset {
            return Err(unavailable("it sends another part than it was asked for"));
        }
        // All that there is may come instead of a part of it.
        if holds != len && holds != total {
            return Err(unavailable("it sends another part than it was asked for"));
        }
        self.first = Some(First { version });
        Ok(())
    }
}

#[async_trait(?Send)]
impl Origin for HttpOrigin {
    async fn open(&mut self, offset: u64, len: u64) -> Result<Part> {
        let headers = self.headers(offset, len)?;
        let asked = self.asker.ask(&self.uri, Method::GET, &headers).await;
        let (head, part) = asked?;
        self.check(&head, offset, len)?;
        Ok(upto(part, len))
    }
}
