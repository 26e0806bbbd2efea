//! The S3 store: one object an image, named by the image's identifier, over the SDK of
//! Amazon with our own HTTP client under it.
//!
//! An image is sent in one request while it is small, and in parts beyond that; the pieces
//! of a part are sent as they came in. Parts in memory are bounded over all uploads. An object
//! is marked with the upload that wrote it; one that is there already is never replaced by an
//! upload, nor removed with what is left of it. What comes is read by a signed address, so that it can stay in its socket.

mod access;
mod connector;
mod failure;
mod listing;
mod memory;
mod multipart;
mod object;
mod options;
mod origin;
mod part;
mod part_sizes;
mod passing;
mod place;
mod region;
mod verify;
mod writer;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::config::SharedHttpClient;

use self::access::{Access, Accesses, Account};
use self::connector::OurHttp;
use self::failure::Failure;
use self::memory::Memory;
use self::object::Object;
pub use self::options::{BucketUrl, Checksums, S3StoreOptions};
use self::origin::S3Origin;
use self::part_sizes::PartSizes;
use self::place::{Place, location_of};
use self::writer::{Plan, S3Writer};
use super::occupied::occupied;
use super::{Store, Stored, StoredOf, Wanted, Writer};
use crate::error::{Error, Kind, Result};
use crate::http_client::{AddressPolicy, HttpClient, HttpClientOptions, TlsError, client_config};
use crate::image::{ImageId, Location, Upload};
use crate::md5::HashEngine;
use crate::transfer::{Payload, RangeReader};

/// The schemes, the store's name first.
pub(super) const SCHEMES: &[&str] = &["s3", "s3+http", "s3+https"];

/// How long an unused connection to S3 is kept; shorter than services keep theirs.
const IDLE_LIMIT: Duration = Duration::from_secs(15);

/// The S3 store cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the S3 store cannot be used: {0}")]
pub struct S3StoreError(#[from] TlsError);

/// Images as objects in a bucket.
pub struct S3Store {
    options: S3StoreOptions,
    http: HttpClient,
    accesses: Accesses,
    own: Access,
    memory: Memory,
    hashes: HashEngine,
}

impl S3Store {
    /// Sets everything up; S3 is not asked for anything yet. `hashes` is for the MD5s of parts.
    ///
    /// # Errors
    /// [`S3StoreError`] when its certificates could not be judged.
    pub fn new(
        options: S3StoreOptions,
        hashes: HashEngine,
    ) -> std::result::Result<Self, S3StoreError> {
        let http = HttpClient::new(HttpClientOptions {
            connect_timeout: options.connect_timeout,
            answer_timeout: options.response_timeout,
            idle_timeout: IDLE_LIMIT,
            reach: AddressPolicy::Any,
            tls: client_config(&options.tls)?,
        });
        let sdk_http = SharedHttpClient::new(OurHttp::new(http.clone()));
        let accesses = Accesses::new(&options, sdk_http);
        Ok(Self {
            own: accesses.of(own_account(&options)),
            memory: Memory::new(options.upload_memory_bytes),
            http,
            accesses,
            hashes,
            options,
        })
    }

    /// The object of an image by that name.
    fn object_of(&self, image: &ImageId) -> Object {
        Object {
            access: self.own.clone(),
            bucket: self.options.bucket.clone(),
            key: image.to_string(),
        }
    }

    /// The object at a location. Our own keys go to our own service and to no other.
    fn object_at(&self, location: &Location) -> Result<Object> {
        let place = Place::parse(location)?;
        let own = own_account(&self.options);
        let is_own_host = host_of(&own.endpoint).eq_ignore_ascii_case(&place.host);
        let access = match (place.keys.clone(), is_own_host) {
            (None, true) => self.own.clone(),
            (None, false) => {
                let cause = "a location without keys is not of the configured S3 service";
                return Err(Error::internal(cause));
            }
            (Some((access_key, secret_key)), is_own_host) => self.accesses.of(Account {
                endpoint: if is_own_host {
                    own.endpoint
                } else {
                    place.endpoint()
                },
                access_key,
                secret_key,
            }),
        };
        Ok(Object {
            access,
            bucket: place.bucket,
            key: place.key,
        })
    }

    fn plan(&self, image: &ImageId, upload: &Upload, image_bytes: Option<u64>) -> Result<Plan> {
        let (options, memory) = (&self.options, &self.memory);
        let image = &image.to_lower();
        let single_put_bytes = options.single_put_bytes.min(memory.most_bytes());
        let is_single = image_bytes.is_some_and(|bytes| bytes <= single_put_bytes);
        let in_parts = image_bytes.filter(|_| !is_single);
        let sizes = PartSizes::plan(in_parts, options.part_bytes, memory.most_bytes());
        Ok(Plan {
            object: self.object_of(image),
            upload: upload.clone(),
            location: location_of(&options.endpoint, &options.bucket, image.as_str())?,
            creates_bucket: options.creates_bucket,
            single_put_bytes,
            sizes: sizes.ok_or_else(parts_too_large)?,
            parts_at_once: options.parts_at_once,
            memory: memory.clone(),
            hashes: options.verify_uploads.then(|| self.hashes.clone()),
        })
    }
}

#[async_trait(?Send)]
impl Store for S3Store {
    fn schemes(&self) -> &'static [&'static str] {
        SCHEMES
    }

    async fn open(&self, location: &Location, wanted: Wanted) -> Result<Payload> {
        let object = self.object_at(location)?;
        let origin = S3Origin::new(object, self.http.clone(), wanted.object_bytes);
        let remote = RangeReader::open(Box::new(origin), wanted.offset, wanted.len).await?;
        let remote = remote.with_stall_limit(self.options.stall_timeout);
        Ok(Payload::Remote(Box::new(remote)))
    }

    async fn size(&self, location: &Location) -> Result<u64> {
        let size = self.object_at(location)?.size_bytes().await;
        size.map_err(Failure::reading)
    }

    async fn create(
        &self,
        image: &ImageId,
        upload: &Upload,
        size_hint_bytes: Option<u64>,
    ) -> Result<Box<dyn Writer>> {
        let plan = self.plan(image, upload, size_hint_bytes)?;
        if plan.object.exists().await.map_err(Failure::writing)? {
            let name = format!("{}/{}", plan.object.bucket, plan.object.key);
            return Err(occupied("s3", image.as_str(), &name));
        }
        Ok(Box::new(S3Writer::new(plan, size_hint_bytes)))
    }

    async fn delete(&self, location: &Location) -> Result<()> {
        let deleted = self.object_at(location)?.delete().await;
        deleted.map_err(Failure::reading)
    }

    async fn discard(&self, image: &ImageId, upload: &Upload) -> Result<()> {
        let object = self.object_of(&image.to_lower());
        let discarded = object.discard(upload.id, upload.started_at).await;
        discarded.map_err(Failure::reading)
    }

    async fn stored(&self) -> Result<Option<Vec<Stored>>> {
        let stored = listing::images_in(&self.own, &self.options.bucket).await;
        stored.map(Some).map_err(Failure::reading)
    }

    async fn discard_stored(&self, of: &StoredOf) -> Result<()> {
        // Nothing here has the name of an upload.
        let StoredOf::Image(image) = of else {
            return Ok(());
        };
        let object = self.object_of(image);
        object.abort_all(None).await.map_err(Failure::reading)?;
        object.delete().await.map_err(Failure::reading)
    }
}

fn own_account(options: &S3StoreOptions) -> Account {
    Account {
        endpoint: options.endpoint.clone(),
        access_key: options.access_key.clone(),
        secret_key: options.secret_key.clone(),
    }
}

/// A URL without its scheme.
fn host_of(endpoint: &str) -> &str {
    endpoint
        .split_once("://")
        .map_or(endpoint, |(_, host)| host)
}

fn parts_too_large() -> Error {
    Error::new(
        Kind::TooLarge,
        "The image is too large for the image storage media.",
    )
    .because("its parts would be larger than S3 takes them (5 GiB)")
}
