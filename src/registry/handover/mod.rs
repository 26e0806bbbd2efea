//! A registry that only one process can have open, handed from one process to the next.
//!
//! While a node reloads, its old process finishes the requests in progress, and some of them must
//! still be recorded: an upload becomes active in the old process minutes after the new one has
//! opened the registry. So the registry of the old process has three states in turn: open in this
//! process; switching, when requests wait; and open in the new process, which is asked over a
//! socket ([`relay`]).

mod messages;
mod relay;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::watch;

pub use self::messages::{MessageError, read_message, write_message};
use self::relay::RelayClient;
pub use self::relay::{RelayDone, serve_relay};
use super::documents::{Document, DocumentKey, DocumentQuery};
use super::{Record, Registry, RegistryStats, Version};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Usage};

/// Interval at which [`SwitchableRegistry::release`] checks whether the last request has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Retry delay that clients are given while no process has the registry open.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The registry that serves requests now.
enum Backend {
    /// It is open in this process.
    Local(Arc<dyn Registry>),
    /// No process has it open.
    Switching,
    /// It is open in the successor of this process.
    Successor(RelayClient),
}

/// A registry that can be handed over while it is in use. Requests only notice a delay.
pub struct SwitchableRegistry {
    backend: ArcSwap<Backend>,
    /// False while the registry is switching. Wakes the requests that wait for it.
    is_available: watch::Sender<bool>,
}

impl SwitchableRegistry {
    /// Returns a registry that is open in this process.
    pub fn new(local: Arc<dyn Registry>) -> Self {
        Self {
            backend: ArcSwap::from_pointee(Backend::Local(local)),
            is_available: watch::Sender::new(true),
        }
    }

    /// Closes the registry: new requests wait from now on. Returns once earlier requests have been
    /// answered and the registry is closed, so that another process can open it.
    pub async fn release(&self) {
        self.is_available.send_replace(false);
        let mut released = self.backend.swap(Arc::new(Backend::Switching));
        // Every request holds a reference until it is answered. Polling is good enough: this runs
        // once per reload, and the drop must happen here and not at the end of some request.
        while let Err(in_use) = Arc::try_unwrap(released).map(close) {
            released = in_use;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Continues with a registry of this process, because the successor could not open it.
    pub fn reclaim(&self, local: Arc<dyn Registry>) {
        self.switch_to(Backend::Local(local));
    }

    /// Forwards requests to the process at the other end of the socket from now on.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn forward_to(&self, socket: UnixStream) -> std::io::Result<()> {
        self.switch_to(Backend::Successor(RelayClient::start(socket)?));
        Ok(())
    }

    fn switch_to(&self, backend: Backend) {
        self.backend.store(Arc::new(backend));
        self.is_available.send_replace(true);
    }

    /// Returns the backend, and waits for it while the registry is switching.
    async fn backend(&self) -> Result<Arc<Backend>> {
        loop {
            let backend = self.backend.load_full();
            if !matches!(*backend, Backend::Switching) {
                return Ok(backend);
            }
            let mut is_available = self.is_available.subscribe();
            // Fails only if the sender is dropped, and `self` owns it.
            if is_available.wait_for(|available| *available).await.is_err() {
                return Err(switching());
            }
        }
    }
}

/// Drops the backend, which waits for the disk.
fn close(backend: Backend) {
    drop(backend);
}

impl Backend {
    fn registry(&self) -> Result<&dyn Registry> {
        match self {
            Self::Local(local) => Ok(&**local),
            Self::Successor(successor) => Ok(successor),
            Self::Switching => Err(switching()),
        }
    }
}

fn switching() -> Error {
    let kind = Kind::Unavailable {
        retry_after: RETRY_AFTER,
    };
    Error::new(kind, "The registry is being handed over.")
}

// Every method must be forwarded. A default of the trait would silently answer for the backend.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Registry for SwitchableRegistry {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        self.backend().await?.registry()?.get(id).await
    }

    fn try_get_cached(&self, id: &ImageId) -> Option<Arc<Record>> {
        match &**self.backend.load() {
            Backend::Local(local) => local.try_get_cached(id),
            Backend::Switching | Backend::Successor(_) => None,
        }
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        self.backend().await?.registry()?.insert(image).await
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        self.backend().await?.registry()?.replace(image, seen).await
    }

    async fn purge(&self, id: &ImageId, seen: Version) -> Result<()> {
        self.backend().await?.registry()?.purge(id, seen).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        self.backend().await?.registry()?.list(query).await
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        self.backend().await?.registry()?.usage(owner).await
    }

    async fn check(&self) -> Result<RegistryStats> {
        self.backend().await?.registry()?.check().await
    }

    async fn get_document(&self, key: &DocumentKey) -> Result<Option<Arc<Document>>> {
        self.backend().await?.registry()?.get_document(key).await
    }

    async fn put_document(&self, document: Document, seen: Version) -> Result<Arc<Document>> {
        let backend = self.backend().await?;
        backend.registry()?.put_document(document, seen).await
    }

    async fn delete_document(&self, key: &DocumentKey, seen: Version) -> Result<()> {
        let backend = self.backend().await?;
        backend.registry()?.delete_document(key, seen).await
    }

    async fn list_documents(&self, query: &DocumentQuery) -> Result<Vec<Arc<Document>>> {
        self.backend()
            .await?
            .registry()?
            .list_documents(query)
            .await
    }

    fn unreadable(&self) -> Vec<ImageId> {
        match &**self.backend.load() {
            Backend::Local(local) => local.unreadable(),
            // The successor has logged them.
            Backend::Successor(_) | Backend::Switching => Vec::new(),
        }
    }

    fn is_current(&self) -> bool {
        match &**self.backend.load() {
            Backend::Local(local) => local.is_current(),
            Backend::Successor(_) | Backend::Switching => false,
        }
    }

    fn is_shared(&self) -> bool {
        match &**self.backend.load() {
            Backend::Local(local) => local.is_shared(),
            // The successor also writes for its own clients.
            Backend::Successor(_) => true,
            Backend::Switching => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::conformance::{self, OWNER_LIMITS};
    use super::super::{EmbeddedOptions, EmbeddedRegistry};
    use super::*;

    fn open(folder: &Path) -> Arc<dyn Registry> {
        let options = EmbeddedOptions {
            folder: folder.to_owned(),
            cache_bytes: 8 << 20,
            flush_limit: Duration::from_secs(15),
            reserve_bytes: 64 << 10,
            max_deleted_images: None,
            owner_limits: OWNER_LIMITS,
        };
        Arc::new(EmbeddedRegistry::open(&options).unwrap())
    }

    #[tokio::test]
    async fn passes_conformance_in_this_process() {
        let folder = tempfile::tempdir().unwrap();
        let registry = SwitchableRegistry::new(open(folder.path()));
        conformance::all(&registry).await;
        conformance::documents(&registry).await;
    }

    #[tokio::test]
    async fn passes_conformance_through_the_relay() {
        let folder = tempfile::tempdir().unwrap();
        let registry = SwitchableRegistry::new(open(folder.path()));
        registry.release().await;
        let (here, there) = UnixStream::pair().unwrap();
        let end = serve_relay(there, open(folder.path())).unwrap();
        registry.forward_to(here).unwrap();
        conformance::all(&registry).await;
        conformance::documents(&registry).await;
        drop(registry);
        assert!(
            end.await.is_err(),
            "the relay drops its sender and sends nothing"
        );
    }

    #[tokio::test]
    async fn requests_wait_during_the_handover() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Arc::new(SwitchableRegistry::new(open(folder.path())));
        registry.release().await;
        let image = conformance::image("waits");
        let asked = {
            let (registry, image) = (Arc::clone(&registry), image.clone());
            tokio::spawn(async move { registry.insert(image).await })
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!asked.is_finished());
        assert!(registry.try_get_cached(&image.id).is_none());
        registry.reclaim(open(folder.path()));
        assert_eq!(asked.await.unwrap().unwrap().version, 1);
    }

    #[tokio::test]
    async fn ended_successor_is_unavailable() {
        let folder = tempfile::tempdir().unwrap();
        let registry = SwitchableRegistry::new(open(folder.path()));
        registry.release().await;
        let (here, there) = UnixStream::pair().unwrap();
        registry.forward_to(here).unwrap();
        drop(there);
        for _ in 0..2 {
            let error = registry.check().await.unwrap_err();
            assert!(matches!(error.kind(), Kind::Unavailable { .. }), "{error}");
        }
    }
}
