//! The Swift store: images in containers of an OpenStack Object Storage account.
//!
//! An image is one object named by its identifier; from `large_object_bytes` on, and when its
//! length is not known, it is segments `<id>-00001`, … in the same container and an object
//! `<id>` that joins them, as Glance writes it. An object under an image's name is always
//! complete: Swift makes an object of all bytes that were announced, or none, and what joins
//! segments is written last. Each object is marked with the upload that wrote it; one that is
//! there already is never replaced, nor removed with what is left of another upload.
//!
//! # Static or dynamic
//! A static large object is a list of segments with lengths and ETags, which Swift checks
//! when it is made. A dynamic one is a prefix of names: what belongs to it is looked up in a
//! listing at each download, which may be behind, and then the object is short. So static
//! is chosen where the cluster offers it. Glance reads both, and since 2014 deletes both.
//!
//! # Locations
//! New ones are `swift+config://reference/container/object`, whether the reference is a
//! section of `swift_store_config_file` or the name that the account of the options has: so
//! the registry holds no password, and Glance with the same options reads it. Glance itself
//! writes the password into the location when there is no such file; those are read here.
//!
//! # What is compared
//! The lengths always, by Swift, which takes no object that is shorter than announced. The
//! MD5 of an image that is not cut with Swift's ETag, which costs nothing; that of segments
//! if the options say so.

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
use self::manifest::most_static_segments;
use self::names::{container_of, object_path, segment_prefix};
use self::object::Container;
use self::object_reader::{SwiftObjectReader, length_of};
pub use self::options::SwiftOptions;
use self::removal::remove_whole;
use self::swift_error::{SwiftError, SwiftResult, read_error, write_error};
use self::upload_mark::{MarkLookup, UploadMark, find};
use self::writer::{ObjectLayout, SwiftUpload, SwiftWriter};
use super::name_taken::name_taken;
use super::{ObjectRange, Store, StoredEntry, StoredKey, Writer};
use crate::config::SwiftManifest;
use crate::error::{Error, Result};
use crate::http_client::HttpClient;
use crate::image::{ImageId, Location, Upload};
use crate::md5::HashEngine;
use crate::transfer::{Payload, RangeReader};

/// The Swift store cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the Swift store cannot be set up: {0}")]
pub struct SwiftStoreError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Whom the store speaks to, and what hashes for it.
pub struct SwiftResources {
    /// For what the operator has named.
    pub client: HttpClient,
    /// For hosts that only a location names, which may be a user's word.
    pub untrusted: HttpClient,
    /// For the MD5s of segments.
    pub hashes: HashEngine,
}

/// Images as objects in Swift.
pub struct SwiftStore {
    options: SwiftOptions,
    accounts: AccountSet,
    hashes: HashEngine,
    /// The most segments of a static object, once the cluster was asked.
    most_static: OnceCell<Option<usize>>,
}

impl SwiftStore {
    /// Sets the store up; nobody is asked yet.
    ///
    /// # Errors
    /// [`SwiftStoreError`] when an account's address is no URL.
    pub fn new(
        options: SwiftOptions,
        parts: SwiftResources,
    ) -> std::result::Result<Self, SwiftStoreError> {
        let accounts = AccountSet::new(AccountSetOptions {
            accounts: options.accounts.clone(),
            default_reference: options.default_reference.clone(),
            endpoint: options.endpoint.clone(),
            renew_before: options.renew_before,
            client: parts.client,
            untrusted: parts.untrusted,
        });
        Ok(Self {
            options,
            accounts: accounts.map_err(|error| SwiftStoreError(error.into()))?,
            hashes: parts.hashes,
            most_static: OnceCell::new(),
        })
    }

    async fn find(&self, location: &Location) -> Result<(SwiftLocation, Session)> {
        let place = SwiftLocation::parse(location).map_err(Error::internal)?;
        let session = self.accounts.of(&place.holder).await;
        Ok((place, session.map_err(read_error)?))
    }

    fn own_session(&self) -> SwiftResult<Session> {
        Ok(Session::new(Arc::clone(self.accounts.default()?), None))
    }

    fn container_of(&self, image: &ImageId) -> String {
        container_of(&self.options.container, self.options.containers_seed, image)
    }

    /// The container of an image that an upload writes.
    fn container(&self, image: &ImageId, upload: &Upload) -> SwiftResult<Container> {
        Ok(Container {
            session: self.own_session()?,
            name: self.container_of(image),
            make: self.options.make_container,
            mark: UploadMark::of(upload.id)?,
        })
    }

    async fn layout(&self, length_bytes: Option<u64>) -> SwiftResult<ObjectLayout> {
        match length_bytes {
            Some(length_bytes) if length_bytes < self.options.large_object_bytes => {
                Ok(ObjectLayout::Plain { length_bytes })
            }
            _ => Ok(ObjectLayout::Segments {
                length_bytes,
                segment_bytes: self.options.segment_bytes,
                manifest: self.options.manifest,
                most_static: self.most_static().await?,
            }),
        }
    }

    /// Asked once; a cluster that could not be asked is asked again.
    async fn most_static(&self) -> SwiftResult<Option<usize>> {
        if self.options.manifest == SwiftManifest::Dynamic {
            return Ok(None);
        }
        let account = self.accounts.default()?;
        let asked = self
            .most_static
            .get_or_try_init(|| most_static_segments(account));
        asked.await.copied()
    }
}

#[async_trait(?Send)]
impl Store for SwiftStore {
    fn schemes(&self) -> &'static [&'static str] {
        SCHEMES
    }

    async fn open(&self, location: &Location, wanted: ObjectRange) -> Result<Payload> {
        if wanted.len == 0 {
            return self.open_nothing(location, wanted).await;
        }
        let (place, session) = self.find(location).await?;
        let origin = SwiftObjectReader::new(
            session,
            &place.container,
            &place.object,
            wanted.object_bytes,
        );
        let remote = RangeReader::open(Box::new(origin), wanted.offset, wanted.len).await?;
        let remote = remote
            .with_stall_limit(self.options.stall)
            .with_most_resumes(self.options.most_resumes);
        Ok(Payload::Remote(Box::new(remote)))
    }

    async fn size(&self, location: &Location) -> Result<u64> {
        let (place, session) = self.find(location).await?;
        let what = "asking for an object's size";
        let path = object_path(&place.container, &place.object);
        let answer = session
            .call(&SwiftRequest::new(what, Method::HEAD, path))
            .await;
        let answer = answer.map_err(read_error)?;
        if !answer.status().is_success() {
            let error = SwiftError::status(what, answer.status(), answer.headers());
            return Err(read_error(error));
        }
        let size_bytes = length_of(answer.headers());
        size_bytes.ok_or_else(|| read_error(SwiftError::answer(what, "no Content-Length")))
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
        let found = find(&container.session, &container.name, &object).await;
        if found.map_err(write_error)? != MarkLookup::Absent {
            let name = format!("{}/{object}", container.name);
            return Err(name_taken("swift", &object, &name));
        }
        let target = SwiftUpload {
            container,
            object,
            reference: self.options.default_reference.clone(),
            layout,
            hashes: self.options.verify_segments.then(|| self.hashes.clone()),
        };
        Ok(Box::new(SwiftWriter::begin(target).await?))
    }

    async fn delete(&self, location: &Location) -> Result<()> {
        let (place, session) = self.find(location).await?;
        let removed = async {
            remove_whole(&session, &place.container, &place.object).await?;
            match place.own_segments() {
                Some(prefix) => remove_all(&session, &place.container, &prefix).await,
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
            // The name first: from then on nobody sees an image that is about to go.
            mark.remove(&session, &name, image.as_str()).await?;
            let prefix = segment_prefix(image.as_str());
            mark.remove_all(&session, &name, &prefix).await
        };
        removed.await.map_err(write_error)
    }

    /// With a seed images are spread over containers that nobody has a list of.
    async fn list_entries(&self) -> Result<Option<Vec<StoredEntry>>> {
        if self.options.containers_seed != 0 {
            return Ok(None);
        }
        let listed = async { images_in(&self.own_session()?, &self.options.container).await };
        listed.await.map(Some).map_err(read_error)
    }

    async fn discard_entry(&self, of: &StoredKey) -> Result<()> {
        // Nothing here has the name of an upload.
        let StoredKey::Image(image) = of else {
            return Ok(());
        };
        let removed = async {
            let (session, name) = (self.own_session()?, self.container_of(image));
            // The name first: from then on nobody sees an image that is about to go.
            remove(&session, &name, image.as_str()).await?;
            remove_all(&session, &name, &segment_prefix(image.as_str())).await
        };
        removed.await.map_err(write_error)
    }
}

impl SwiftStore {
    /// No bytes of an object, which must be there all the same.
    async fn open_nothing(&self, location: &Location, wanted: ObjectRange) -> Result<Payload> {
        match self.size(location).await? {
            size_bytes if size_bytes == wanted.object_bytes => Ok(Payload::Empty),
            size_bytes => Err(Error::internal(format!(
                "the object has {size_bytes} bytes where the registry has {}",
                wanted.object_bytes
            ))),
        }
    }
}
