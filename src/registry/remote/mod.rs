//! The client of a registry server, over HTTP.
//!
//! The first response shows which protocol the server speaks. A `glance-registry` of this software
//! exchanges whole records ([`record_protocol`]); any other server speaks the registry API of
//! Glance ([`legacy_protocol`]).

mod documents;
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
use super::documents::{Document, DocumentKey, DocumentQuery};
use super::{Record, Registry, RegistryStats, Version};
use crate::error::{Error, Result};
use crate::image::{Image, ImageId, OwnerLimits, Query, Usage};

/// A registry on another server.
pub struct RemoteRegistry {
    endpoint: Arc<ServerEndpoint>,
    owner_limits: OwnerLimits,
    /// Set by the first response.
    protocol: OnceLock<Protocol>,
}

enum Protocol {
    Records(RecordProtocol),
    Legacy(Box<LegacyProtocol>),
}

impl RemoteRegistry {
    /// Returns the registry at an address. Sends no request yet.
    ///
    /// # Errors
    /// [`RemoteError`] if TLS cannot be set up or the address is malformed.
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
            "the registry server does not version records: of concurrent changes, only changes of \
             status are detected (from_state); otherwise the last one wins, and concurrent uploads \
             can exceed quotas"
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

    async fn get_document(&self, key: &DocumentKey) -> Result<Option<Arc<Document>>> {
        self.registry().await?.get_document(key).await
    }

    async fn put_document(&self, document: Document, seen: Version) -> Result<Arc<Document>> {
        self.registry().await?.put_document(document, seen).await
    }

    async fn delete_document(&self, key: &DocumentKey, seen: Version) -> Result<()> {
        self.registry().await?.delete_document(key, seen).await
    }

    async fn list_documents(&self, query: &DocumentQuery) -> Result<Vec<Arc<Document>>> {
        self.registry().await?.list_documents(query).await
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
        super::refusals::unavailable("The registry server cannot be asked.", failure.cause)
    }
}
