//! A registry that only one process can have open, handed from one process to the next.
//!
//! While a node reloads, its old process finishes what is in flight, and some of that must
//! still be written down: an upload becomes active in the old process, minutes after the new
//! one has taken the registry over. So the old process' registry is one of three things in
//! turn: its own; being passed over, when whoever asks waits; and the new process', asked over
//! a socket between the two ([`relay`]).

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
use super::{Record, Registry, RegistryStats, Version};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Usage};

/// How often it is looked at whether the last question has been answered.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// When a client should try again that came when nobody had the registry.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Who answers now.
enum Backend {
    /// This process.
    Own(Arc<dyn Registry>),
    /// Nobody yet.
    Nobody,
    /// The process that took over.
    Next(RelayClient),
}

/// A registry that can be handed over while it is in use. Those who ask see nothing of it but
/// the time that it takes.
pub struct SwitchableRegistry {
    holder: ArcSwap<Backend>,
    /// Tells those who wait that somebody holds it.
    held: watch::Sender<bool>,
}

impl SwitchableRegistry {
    /// A registry of this process.
    pub fn new(own: Arc<dyn Registry>) -> Self {
        Self {
            holder: ArcSwap::from_pointee(Backend::Own(own)),
            held: watch::Sender::new(true),
        }
    }

    /// From now on questions wait. Returns when those before are answered and the registry is
    /// closed: another process can open it.
    pub async fn release(&self) {
        self.held.send_replace(false);
        let mut before = self.holder.swap(Arc::new(Backend::Nobody));
        // Whoever asks holds a count of it until the answer is there.
        while let Err(still_asked) = Arc::try_unwrap(before).map(close) {
            before = still_asked;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Has it back: the other process could not open it.
    pub fn reclaim(&self, own: Arc<dyn Registry>) {
        self.hold(Backend::Own(own));
    }

    /// From now on the process at the other end of the socket is asked.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn forward_to(&self, socket: UnixStream) -> std::io::Result<()> {
        self.hold(Backend::Next(RelayClient::start(socket)?));
        Ok(())
    }

    fn hold(&self, holder: Backend) {
        self.holder.store(Arc::new(holder));
        self.held.send_replace(true);
    }

    /// Whoever can answer, once there is somebody.
    async fn holder(&self) -> Result<Arc<Backend>> {
        loop {
            let holder = self.holder.load_full();
            if !matches!(*holder, Backend::Nobody) {
                return Ok(holder);
            }
            let mut held = self.held.subscribe();
            // The sender is our own: it outlives us.
            if held.wait_for(|held| *held).await.is_err() {
                return Err(nobody());
            }
        }
    }
}

/// Closing waits for the disk.
fn close(holder: Backend) {
    drop(holder);
}

impl Backend {
    fn registry(&self) -> Result<&dyn Registry> {
        match self {
            Self::Own(own) => Ok(&**own),
            Self::Next(next) => Ok(next),
            Self::Nobody => Err(nobody()),
        }
    }
}

fn nobody() -> Error {
    let kind = Kind::Unavailable {
        retry_after: RETRY_AFTER,
    };
    Error::new(kind, "The registry is being handed over.")
}

#[async_trait]
impl Registry for SwitchableRegistry {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        self.holder().await?.registry()?.get(id).await
    }

    fn try_get_cached(&self, id: &ImageId) -> Option<Arc<Record>> {
        match &**self.holder.load() {
            Backend::Own(own) => own.try_get_cached(id),
            Backend::Nobody | Backend::Next(_) => None,
        }
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        self.holder().await?.registry()?.insert(image).await
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        self.holder().await?.registry()?.replace(image, seen).await
    }

    async fn purge(&self, id: &ImageId, seen: Version) -> Result<()> {
        self.holder().await?.registry()?.purge(id, seen).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        self.holder().await?.registry()?.list(query).await
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        self.holder().await?.registry()?.usage(owner).await
    }

    async fn check(&self) -> Result<RegistryStats> {
        self.holder().await?.registry()?.check().await
    }

    fn unreadable(&self) -> Vec<ImageId> {
        match &**self.holder.load() {
            Backend::Own(own) => own.unreadable(),
            // The next process has told its log of them.
            Backend::Next(_) | Backend::Nobody => Vec::new(),
        }
    }

    fn is_current(&self) -> bool {
        match &**self.holder.load() {
            Backend::Own(own) => own.is_current(),
            Backend::Next(_) | Backend::Nobody => false,
        }
    }

    fn is_shared(&self) -> bool {
        match &**self.holder.load() {
            Backend::Own(own) => own.is_shared(),
            // The next process writes to it for others.
            Backend::Next(_) => true,
            Backend::Nobody => false,
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
    async fn conforms_in_this_process() {
        let folder = tempfile::tempdir().unwrap();
        conformance::all(&SwitchableRegistry::new(open(folder.path()))).await;
    }

    #[tokio::test]
    async fn conforms_when_the_next_process_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let registry = SwitchableRegistry::new(open(folder.path()));
        registry.release().await;
        let (here, there) = UnixStream::pair().unwrap();
        let end = serve_relay(there, open(folder.path())).unwrap();
        registry.forward_to(here).unwrap();
        conformance::all(&registry).await;
        drop(registry);
        assert!(end.await.is_err(), "its sender only ever goes away");
    }

    #[tokio::test]
    async fn whoever_asks_meanwhile_waits() {
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
    async fn a_process_that_is_gone_is_unavailable() {
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
