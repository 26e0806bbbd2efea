//! The Swift store: images as objects in containers of an OpenStack Object Storage account.
//!
//! A small image of known length is one object named by its identifier. A larger one is written as
//! Glance does: segments `<id>-00001`, … in the same container, and an object `<id>` (the manifest)
//! that joins them. An object under an image's name is always complete: Swift stores an object only
//! if it received all announced bytes, and the manifest is written last. Each object carries the
//! identifier of the upload that wrote it (`upload_mark`), so an upload never replaces or removes
//! the objects of another one.
//!
//! # Static and dynamic large objects
//! A static large object lists its segments with lengths and ETags, which Swift checks when it is
//! created. A dynamic one is a prefix of names: Swift looks its segments up in a container listing
//! at each download, and the listing may lag behind. Therefore static manifests are used where the
//! cluster supports them. Glance reads both, and deletes both since 2014.
//!
//! # Locations
//! New locations are `swift+config://reference/container/object`, where the reference is a section
//! of `swift_store_config_file` or the name of the account of the options. So the registry contains
//! no password, and Glance reads the location with the same options. Without such a file Glance
//! itself writes the password into the location; such locations can be read.
//!
//! # Verification
//! Swift verifies the length of every object. The MD5 of an image without segments is compared with
//! Swift's ETag, at no cost. The MD5s of segments are compared if the options say so.

mod account_client;
mod account_set;
mod listing;
mod location;
mod login;
mod manifest;
mod names;
mod object;
mod object_reader;
mod options;
mod removal;
mod swift_error;
mod upload_mark;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use tokio::sync::OnceCell;

use self::account_client::{Session, SwiftRequest};
use self::account_set::{AccountSet, AccountSetOptions};
use self::listing::{images_in, remove, remove_all};
pub(super) use self::location::SCHEMES;
use self::location::SwiftLocation;
pub use self::login::SwiftEndpoint;
use self::manifest::max_static_segments;
use self::names::{container_of, object_path, segment_prefix};
use self::object::Container;
use self::object_reader::{SwiftObjectReader, length_of};
pub use self::options::SwiftOptions;
use self::removal::remove_whole;
use self::swift_error::{SwiftError, SwiftResult, read_error, write_error};
use self::upload_mark::{MarkLookup, UploadMark, find_mark};
use self::writer::{ObjectLayout, SwiftUpload, SwiftWriter};
use super::name_taken::name_taken;
use super::{ObjectRange, Store, StoredEntry, StoredKey, Writer};
use crate::config::SwiftManifest;
use crate::error::{Error, Result};
use crate::http_client::HttpClient;
use crate::image::{ImageId, Location, Upload};
use crate::md5::HashEngine;
use crate::transfer::{Payload, RangeReader};

/// The Swift store cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the Swift store: {0}")]
pub struct SwiftStoreError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// The HTTP clients and the hash engine of the store.
pub struct SwiftResources {
    /// For hosts that the operator has configured.
    pub client: HttpClient,
    /// For hosts that only a location names, which may be a user's text. Filters addresses.
    pub untrusted: HttpClient,
    /// Computes the MD5s of segments.
    pub hashes: HashEngine,
}

/// Stores images as objects in Swift.
pub struct SwiftStore {
    options: SwiftOptions,
    accounts: AccountSet,
    hashes: HashEngine,
    /// The most segments of a static large object, requested from the cluster once.
    max_static: OnceCell<Option<usize>>,
}

impl SwiftStore {
    /// Creates the store. Does not connect.
    ///
    /// # Errors
    /// [`SwiftStoreError`] if the address of an account is not a URL.
    pub fn new(
        options: SwiftOptions,
        resources: SwiftResources,
    ) -> std::result::Result<Self, SwiftStoreError> {
        let accounts = AccountSet::new(AccountSetOptions {
            accounts: options.accounts.clone(),
            default_reference: options.default_reference.clone(),
            endpoint: options.endpoint.clone(),
            renew_before: options.renew_before,
            client: resources.client,
            untrusted: resources.untrusted,
        });
        Ok(Self {
            options,
            accounts: accounts.map_err(|error| SwiftStoreError(error.into()))?,
            hashes: resources.hashes,
            max_static: OnceCell::new(),
        })
    }

    /// Parses a location, and returns a session with its account.
    async fn resolve(&self, location: &Location) -> Result<(SwiftLocation, Session)> {
        let parsed = SwiftLocation::parse(location).map_err(Error::internal)?;
        let session = self.accounts.session_of(&parsed.account).await;
        Ok((parsed, session.map_err(read_error)?))
    }

    fn own_session(&self) -> SwiftResult<Session> {
        Ok(Session::new(Arc::clone(self.accounts.default()?), None))
    }

    fn container_of(&self, image: &ImageId) -> String {
        container_of(&self.options.container, self.options.containers_seed, image)
    }

    /// Returns the container that an upload of an image writes to.
    fn container(&self, image: &ImageId, upload: &Upload) -> SwiftResult<Container> {
        Ok(Container {
            session: self.own_session()?,
            name: self.container_of(image),
            create_if_missing: self.options.make_container,
            mark: UploadMark::of(upload.id)?,
        })
    }

    /// Decides how an image is stored as objects.
    async fn layout(&self, length_bytes: Option<u64>) -> SwiftResult<ObjectLayout> {
        match length_bytes {
            Some(length_bytes) if length_bytes < self.options.large_object_bytes => {
                Ok(ObjectLayout::Plain { length_bytes })
            }
            _ => Ok(ObjectLayout::Segments {
                length_bytes,
                segment_bytes: self.options.segment_bytes,
                manifest: self.options.manifest,
                max_static: self.max_static().await?,
            }),
        }
    }

    /// Returns the most segments of a static large object. The result is cached; errors are not.
    async fn max_static(&self) -> SwiftResult<Option<usize>> {
        if self.options.manifest == SwiftManifest::Dynamic {
            return Ok(None);
        }
        let account = self.accounts.default()?;
        let segments = self
            .max_static
            .get_or_try_init(|| max_static_segments(account));
        segments.await.copied()
    }
}

#[async_trait(?Send)]
impl Store for SwiftStore {
    fn schemes(&self) -> &'static [&'static str] {
        SCHEMES
    }

    async fn open(&self, location: &Location, range: ObjectRange) -> Result<Payload> {
        if range.len == 0 {
            return self.open_empty(location, range).await;
        }
        let (parsed, session) = self.resolve(location).await?;
        let reader = SwiftObjectReader::new(
            session,
            &parsed.container,
            &parsed.object,
            range.object_bytes,
        );
        let remote = RangeReader::open(Box::new(reader), range.offset, range.len).await?;
        let remote = remote
            .with_stall_limit(self.options.stall)
            .with_most_resumes(self.options.most_resumes);
        Ok(Payload::Remote(Box::new(remote)))
    }

    async fn size(&self, location: &Location) -> Result<u64> {
        let (parsed, session) = self.resolve(location).await?;
        let what = "requesting an object's size";
        let path = object_path(&parsed.container, &parsed.object);
        let response = session
            .send(&SwiftRequest::new(what, Method::HEAD, path))
            .await;
        let response = response.map_err(read_error)?;
        if !response.status().is_success() {
            let error = SwiftError::status(what, response.status(), response.headers());
            return Err(read_error(error));
        }
        let size_bytes = length_of(response.headers());
        size_bytes.ok_or_else(|| read_error(SwiftError::malformed(what, "no Content-Length")))
    }

    async fn create(
        &self,
        image: &ImageId,
        upload: &Upload,
        size_hint_bytes: Option<u64>,
    ) -> Result<Box<dyn Writer>> {
        let container = self.container(image, upload).map_err(write_error)?;
        let layout = self.layout(size_hint_bytes).await.map_err(write_error)?;
        let object = image.to_lower().as_str().to_owned();
        // Swift checks again with `If-None-Match`; this check covers large objects, whose manifest
        // is written last.
        let found = find_mark(&container.session, &container.name, &object).await;
        if found.map_err(write_error)? != MarkLookup::Absent {
            let name = format!("{}/{object}", container.name);
            return Err(name_taken("swift", &object, &name));
        }
        let upload = SwiftUpload {
            container,
            object,
            reference: self.options.default_reference.clone(),
            layout,
            hashes: self.options.verify_segments.then(|| self.hashes.clone()),
        };
        Ok(Box::new(SwiftWriter::begin(upload).await?))
    }

    async fn delete(&self, location: &Location) -> Result<()> {
        let (parsed, session) = self.resolve(location).await?;
        let removed = async {
            remove_whole(&session, &parsed.container, &parsed.object).await?;
            match parsed.own_segments() {
                Some(prefix) => remove_all(&session, &parsed.container, &prefix).await,
                None => Ok(()),
            }
        };
        removed.await.map_err(write_error)
    }

    async fn discard(&self, image: &ImageId, upload: &Upload) -> Result<()> {
        let image = image.to_lower();
        let removed = async {
            let Container {
                session,
                name,
                mark,
                ..
            } = self.container(&image, upload)?;
            // The object first, so that no reader finds an image whose segments are being removed.
            mark.remove(&session, &name, image.as_str()).await?;
            let prefix = segment_prefix(image.as_str());
            mark.remove_all(&session, &name, &prefix).await
        };
        removed.await.map_err(write_error)
    }

    /// With a seed, images are spread over containers that the store cannot enumerate.
    async fn list_entries(&self) -> Result<Option<Vec<StoredEntry>>> {
        if self.options.containers_seed != 0 {
            return Ok(None);
        }
        let listed = async { images_in(&self.own_session()?, &self.options.container).await };
        listed.await.map(Some).map_err(read_error)
    }

    async fn discard_entry(&self, key: &StoredKey) -> Result<()> {
        // Uploads have no objects of their own names.
        let StoredKey::Image(image) = key else {
            return Ok(());
        };
        let removed = async {
            let (session, name) = (self.own_session()?, self.container_of(image));
            // The object first, so that no reader finds an image whose segments are being removed.
            remove(&session, &name, image.as_str()).await?;
            remove_all(&session, &name, &segment_prefix(image.as_str())).await
        };
        removed.await.map_err(write_error)
    }
}

impl SwiftStore {
    /// Opens an empty range. The object must exist and have the registered size all the same.
    async fn open_empty(&self, location: &Location, range: ObjectRange) -> Result<Payload> {
        match self.size(location).await? {
            size_bytes if size_bytes == range.object_bytes => Ok(Payload::Empty),
            size_bytes => Err(Error::internal(format!(
                "the object has {size_bytes} bytes where the registry has {}",
                range.object_bytes
            ))),
        }
    }
}
