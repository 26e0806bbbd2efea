//! A registry server that speaks the registry API of Glance.
//!
//! Such a server has no versions. The version of a record is a digest of its content here: before a
//! write the image is read and compared, and the write itself names the status that was seen
//! (`from_state`), so that of two concurrent changes of status only one succeeds. A concurrent
//! change of other fields, between the read and the write, can be lost.
//!
//! Members have routes of their own, so a write changes either them or the rest. The remains of a
//! deleted image are known as long as the server shows it; when nothing remains, the image is
//! deleted on the server.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Mutex;

use super::super::index::{Index, Snapshot};
use super::super::refusals::unavailable;
use super::super::{Record, Registry, RegistryStats, Version, refusals};
use super::endpoint::{RegistryResponse, RequestFailure, ServerEndpoint};
use super::outcome::is_result;
use super::replica::{Replica, version_of};
use super::rows::rows;
use crate::error::Result;
use crate::image::{Filter, Image, ImageId, ListScope, Member, OwnerLimits, Query, Status, Usage};
use crate::wire::registry::{read_legacy_ids, read_legacy_image, write_legacy_body};
use crate::wire::{SharedImage, write_memberships};

/// The client of such a server.
pub(super) struct LegacyProtocol {
    endpoint: Arc<ServerEndpoint>,
    owner_limits: OwnerLimits,
    replica: Mutex<Replica>,
    /// The images that the replica lacks, for readers that must not wait for its lock.
    unreadable: ArcSwap<Vec<ImageId>>,
}

fn record_of(image: Image) -> Arc<Record> {
    let version = version_of(&image);
    Arc::new(Record::new(image, version))
}

fn path_of(id: &ImageId) -> String {
    format!("/images/{id}")
}

impl LegacyProtocol {
    pub(super) fn new(endpoint: Arc<ServerEndpoint>, owner_limits: OwnerLimits) -> Self {
        Self {
            endpoint,
            owner_limits,
            replica: Mutex::new(Replica::new()),
            unreadable: ArcSwap::default(),
        }
    }

    /// Checks that the server is a registry.
    pub(super) async fn verify_is_registry(&self) -> Result<()> {
        // The short list: a detailed one may exceed the limit of a response.
        let response = self.ask("check", Method::GET, "/images?limit=1", None);
        let response = response.await?;
        let is_list = read_legacy_ids(response.body()).is_ok();
        match response.status {
            StatusCode::OK if is_list => Ok(()),
            StatusCode::OK => {
                let cause = "the server at registry_host and registry_port is not a registry";
                Err(unavailable("The registry server cannot be used.", cause))
            }
            _ => Err(response.refusal()),
        }
    }

    async fn ask(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<RegistryResponse> {
        let asked = self.endpoint.request_legacy(operation, method, path, body);
        Ok(asked.await?)
    }

    /// Reads an image without its members.
    async fn fetch(&self, id: &ImageId) -> Result<Option<Image>> {
        let response = self.ask("get", Method::GET, &path_of(id), None).await?;
        match response.status {
            StatusCode::OK => read_legacy_image(response.body()).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(response.refusal()),
        }
    }

    async fn members(&self, id: &ImageId) -> Result<Vec<Member>> {
        let path = format!("{}/members", path_of(id));
        let response = self.ask("get", Method::GET, &path, None).await?;
        rows(&response, "members")
    }

    /// Reads all images without members.
    async fn images(&self) -> Result<Snapshot> {
        let mut replica = self.replica.lock().await;
        let snapshot = replica.refresh(&self.endpoint).await?;
        self.unreadable.store(Arc::new(replica.unreadable()));
        Ok(snapshot)
    }

    /// Reads all images, with the members that a query refers to.
    async fn snapshot_for(&self, query: &Query) -> Result<Snapshot> {
        let mut snapshot = self.images().await?;
        for tenant in tenants_of(query) {
            let name = utf8_percent_encode(tenant, NON_ALPHANUMERIC);
            let path = format!("/shared-images/{name}");
            let asked = self
                .endpoint
                .request_legacy("list", Method::GET, &path, None);
            let response = match asked.await {
                // The number of images that other tenants share with this one is not limited.
                Err(failure) if failure.is_too_long() => {
                    tracing::error!(
                        tenant,
                        "more images are shared with a tenant than a response may hold; its lists \
                         lack them"
                    );
                    continue;
                }
                asked => asked?,
            };
            let shared: Vec<SharedImage> = rows(&response, "shared_images")?;
            for shared in shared {
                let id = shared.image_id.parse().ok();
                let Some(record) = id.and_then(|id| snapshot.get(&id)) else {
                    continue;
                };
                let mut image = record.image.clone();
                let (can_share, created_at) = (shared.can_share, image.created_at);
                image
                    .members
                    .push(Member::new(tenant, can_share, created_at));
                let version = record.version;
                snapshot.put(Arc::new(Record::new(image, version)));
            }
        }
        Ok(snapshot)
    }

    /// Checks the owner's limits against the current list. Concurrent writes can still exceed them.
    async fn check_owner(&self, current: Option<&Image>, image: &Image) -> Result<()> {
        if self.owner_limits == OwnerLimits::default() {
            return Ok(());
        }
        let mut others = self.usage(image.owner.as_deref()).await?;
        let same = current.filter(|current| current.owner == image.owner);
        let before = same.map_or_else(Usage::default, Usage::of);
        others -= before;
        let checked = self.owner_limits.check(others, before, Usage::of(image));
        checked.map_err(|over| refusals::over_limit(&over))
    }

    /// Returns the current image if a write without a response was executed.
    async fn confirm_written(&self, image: &Image, failure: RequestFailure) -> Result<Image> {
        if failure.is_unsent {
            return Err(failure.into());
        }
        match self.fetch(&image.id).await {
            Ok(Some(current)) if is_result(&current, image) => Ok(current),
            _ => Err(failure.into()),
        }
    }

    /// Writes everything except the members if the image still has the status that was seen.
    async fn update(&self, current: &Image, image: &Image) -> Result<Image> {
        let body = write_legacy_body(image, Some(current.status))?;
        let path = path_of(&image.id);
        let sent = self
            .endpoint
            .request_legacy("replace", Method::PUT, &path, Some(body));
        let response = match sent.await {
            Ok(response) => response,
            Err(failure) => return self.confirm_written(image, failure).await,
        };
        match response.status {
            StatusCode::OK => read_legacy_image(response.body()),
            StatusCode::CONFLICT | StatusCode::NOT_FOUND => {
                Err(refusals::changed_meanwhile(&image.id))
            }
            _ => Err(response.refusal()),
        }
    }

    /// Deletes an image of which nothing remains.
    async fn delete_image(&self, id: &ImageId) -> Result<Image> {
        let path = path_of(id);
        let response = self.ask("replace", Method::DELETE, &path, None).await?;
        match response.status {
            // Some servers answer 404 if the image is already deleted.
            StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => self
                .fetch(id)
                .await?
                .ok_or_else(|| refusals::changed_meanwhile(id)),
            _ => Err(response.refusal()),
        }
    }

    /// Writes the members if nothing else changes. Returns false if something else does.
    async fn change_members(&self, current: &Image, image: &Image) -> Result<bool> {
        let others_differ = version_of(current) != version_of(image);
        if others_differ || same_members(&self.members(&image.id).await?, &image.members) {
            return Ok(false);
        }
        let path = format!("{}/members", path_of(&image.id));
        let members = image.members.iter();
        let body = write_memberships(members.map(|member| (&*member.id, member.can_share)));
        let sent = self
            .endpoint
            .request_legacy("replace", Method::PUT, &path, Some(body));
        let response = match sent.await {
            Ok(response) => response,
            Err(failure) if failure.is_unsent => return Err(failure.into()),
            // It may have been executed.
            Err(failure) => match self.members(&image.id).await {
                Ok(members) if same_members(&members, &image.members) => return Ok(true),
                _ => return Err(failure.into()),
            },
        };
        match response.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND => Err(refusals::changed_meanwhile(&image.id)),
            _ => Err(response.refusal()),
        }
    }
}

/// Returns true if both lists have the same members with the same rights, which is all that the
/// legacy protocol carries.
fn same_members(a: &[Member], b: &[Member]) -> bool {
    let same = |(a, b): (&Member, &Member)| (&a.id, a.can_share) == (&b.id, b.can_share);
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Returns the tenants whose shared images a query refers to.
fn tenants_of(query: &Query) -> Vec<&str> {
    let mut tenants: Vec<&str> = query
        .filters
        .iter()
        .filter_map(|filter| match filter {
            Filter::Member(tenant) => Some(tenant.as_str()),
            _ => None,
        })
        .collect();
    if let ListScope::Tenant(Some(tenant)) = &query.scope {
        tenants.push(tenant);
    }
    tenants.sort_unstable();
    tenants.dedup();
    tenants
}

#[async_trait]
impl Registry for LegacyProtocol {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        let (image, members) = tokio::try_join!(self.fetch(id), self.members(id))?;
        Ok(image.map(|image| record_of(Image { members, ..image })))
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        self.check_owner(None, &image).await?;
        let body = write_legacy_body(&image, None)?;
        let sent = self
            .endpoint
            .request_legacy("insert", Method::POST, "/images", Some(body));
        let response = match sent.await {
            Ok(response) => response,
            Err(failure) => return self.confirm_written(&image, failure).await.map(record_of),
        };
        match response.status {
            StatusCode::OK | StatusCode::CREATED => {
                Ok(record_of(read_legacy_image(response.body())?))
            }
            StatusCode::CONFLICT => Err(refusals::already_exists(&image.id)),
            _ => Err(response.refusal()),
        }
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        let current = self.fetch(&image.id).await?;
        let current = current.filter(|current| version_of(current) == seen);
        let current = current.ok_or_else(|| refusals::changed_meanwhile(&image.id))?;
        self.check_owner(Some(&current), &image).await?;
        if self.change_members(&current, &image).await? {
            return Ok(record_of(image));
        }
        let is_empty = image.data.is_none() && image.upload.is_none();
        let written = match image.status == Status::Deleted && is_empty {
            false => self.update(&current, &image).await?,
            true => {
                // The server deletes an image in any status; the update first makes sure that it
                // still has the status that was seen.
                if current.status != Status::Deleted {
                    self.update(&current, &image).await?;
                }
                self.delete_image(&image.id).await?
            }
        };
        let members = image.members;
        Ok(record_of(Image { members, ..written }))
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        let index = Index::new(self.snapshot_for(query).await?);
        index.list(query).map_err(refusals::unknown_marker)
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        let snapshot = self.images().await?;
        Ok(snapshot.usage(owner))
    }

    async fn check(&self) -> Result<RegistryStats> {
        let snapshot = self.images().await?;
        Ok(Index::new(snapshot).stats())
    }

    fn unreadable(&self) -> Vec<ImageId> {
        self.unreadable.load().to_vec()
    }

    fn is_shared(&self) -> bool {
        true
    }
}
