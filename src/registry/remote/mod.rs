//! A registry server that this process asks over HTTP.
//!
//! Which dialect it speaks is found out with the first answer: one of ours is asked for whole
//! records ([`records`]), one of another make in the words of Glance's own ([`standard`]).

mod exchange;
mod options;
mod outcome;
mod pages;
mod records;
mod replica;
mod rows;
mod standard;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use http::StatusCode;

use self::exchange::{Exchange, Failure};
pub use self::options::{RemoteError, RemoteOptions};
use self::records::Records;
use self::standard::Standard;
use super::{Census, Record, Registry, Version};
use crate::error::{Error, Result};
use crate::image::{Image, ImageId, OwnerLimits, Query, Usage};

/// A registry server elsewhere.
pub struct RemoteRegistry {
    exchange: Arc<Exchange>,
    owner_limits: OwnerLimits,
    /// Once it has answered.
    dialect: OnceLock<Dialect>,
}

enum Dialect {
    Records(Records),
    Standard(Box<Standard>),
}

impl RemoteRegistry {
    /// The server at an address; nobody is asked yet.
    ///
    /// # Errors
    /// [`RemoteError`] when TLS cannot be set up or the address is none.
    pub fn new(options: &RemoteOptions) -> std::result::Result<Self, RemoteError> {
        Ok(Self {
            exchange: Arc::new(Exchange::new(options)?),
            owner_limits: options.owner_limits,
            dialect: OnceLock::new(),
        })
    }

    async fn registry(&self) -> Result<&dyn Registry> {
        let dialect = match self.dialect.get() {
            Some(dialect) => dialect,
            None => {
                let found = self.find_dialect().await?;
                self.dialect.get_or_init(|| found)
            }
        };
        Ok(match dialect {
            Dialect::Records(records) => records,
            Dialect::Standard(standard) => &**standard,
        })
    }

    async fn find_dialect(&self) -> Result<Dialect> {
        let reply = self.exchange.read("check", "/census", None).await?;
        if reply.has_records() {
            return Ok(Dialect::Records(Records::new(Arc::clone(&self.exchange))));
        }
        if reply.status == StatusCode::SERVICE_UNAVAILABLE {
            return Err(reply.refusal());
        }
        let standard = Standard::new(Arc::clone(&self.exchange), self.owner_limits);
        standard.greet().await?;
        tracing::warn!(
            address = self.exchange.address(),
            "the registry server is of another make and counts no versions of records: only a \
             change of status is certain to fail when somebody else was first (from_state); of \
             other changes made at the same time the last one stays, and quotas may be passed \
             by what is begun at the same time"
        );
        Ok(Dialect::Standard(Box::new(standard)))
    }
}

#[async_trait]
impl Registry for RemoteRegistry {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        self.registry().await?.get(id).await
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        self.registry().await?.insert(image).await
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        self.registry().await?.replace(image, seen).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        self.registry().await?.list(query).await
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        self.registry().await?.usage(owner).await
    }

    async fn check(&self) -> Result<Census> {
        self.registry().await?.check().await
    }

    fn unreadable(&self) -> Vec<ImageId> {
        match self.dialect.get() {
            Some(Dialect::Standard(standard)) => standard.unreadable(),
            Some(Dialect::Records(records)) => records.unreadable_images(),
            None => Vec::new(),
        }
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        super::unavailable("The registry server cannot be asked.", failure.cause)
    }
}
