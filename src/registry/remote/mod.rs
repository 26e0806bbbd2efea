//! A registry server that this process asks over HTTP.
//!
//! Which dialect it speaks is found out with the first answer: one of ours is asked for whole
//! records ([`records`]), one of another make in the words of Glance's own ([`standard`]).

mod endpoint;
mod legacy_protocol;
mod options;
mod outcome;
mod pages;
mod record_protocol;
mod replica;
mod rows;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use http::StatusCode;

use self::endpoint::{RequestFailure, ServerEndpoint};
use self::legacy_protocol::LegacyProtocol;
pub use self::options::{RemoteError, RemoteOptions};
use self::record_protocol::RecordProtocol;
use super::{Record, Registry, RegistryStats, Version};
use crate::error::{Error, Result};
use crate::image::{Image, ImageId, OwnerLimits, Query, Usage};

/// A registry server elsewhere.
pub struct RemoteRegistry {
    endpoint: Arc<ServerEndpoint>,
    owner_limits: OwnerLimits,
    /// Once it has answered.
    protocol: OnceLock<Protocol>,
}

enum Protocol {
    Records(RecordProtocol),
    Legacy(Box<LegacyProtocol>),
}

impl RemoteRegistry {
    /// The server at an address; nobody is asked yet.
    ///
    /// # Errors
    /// [`RemoteError`] when TLS cannot be set up or the address is none.
    pub fn new(options: &RemoteOptions) -> std::result::Result<Self, RemoteError> {
        Ok(Self {
            endpoint: Arc::new(ServerEndpoint::new(options)?),
            owner_limits: options.owner_limits,
            protocol: OnceLock::new(),
        })
    }

    async fn registry(&self) -> Result<&dyn Registry> {
        let protocol = match self.protocol.get() {
            Some(protocol) => protocol,
            None => {
                let found = self.detect_protocol().await?;
                self.protocol.get_or_init(|| found)
            }
        };
        Ok(match protocol {
            Protocol::Records(records) => records,
            Protocol::Legacy(legacy) => &**legacy,
        })
    }

    async fn detect_protocol(&self) -> Result<Protocol> {
        let response = self.endpoint.read("check", "/census", None).await?;
        if response.has_records() {
            return Ok(Protocol::Records(RecordProtocol::new(Arc::clone(
                &self.endpoint,
            ))));
        }
        if response.status == StatusCode::SERVICE_UNAVAILABLE {
            return Err(response.refusal());
        }
        let legacy = LegacyProtocol::new(Arc::clone(&self.endpoint), self.owner_limits);
        legacy.verify_is_registry().await?;
        tracing::warn!(
            address = self.endpoint.address(),
            "the registry server is of another make and counts no versions of records: only a \
             change of status is certain to fail when somebody else was first (from_state); of \
             other changes made at the same time the last one stays, and quotas may be passed \
             by what is begun at the same time"
        );
        Ok(Protocol::Legacy(Box::new(legacy)))
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

    async fn check(&self) -> Result<RegistryStats> {
        self.registry().await?.check().await
    }

    fn unreadable(&self) -> Vec<ImageId> {
        match self.protocol.get() {
            Some(Protocol::Legacy(legacy)) => legacy.unreadable(),
            Some(Protocol::Records(records)) => records.unreadable_images(),
            None => Vec::new(),
        }
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl From<RequestFailure> for Error {
    fn from(failure: RequestFailure) -> Self {
        super::unavailable("The registry server cannot be asked.", failure.cause)
    }
}
