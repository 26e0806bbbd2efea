//! The S3 store: one object per image, named by the image's identifier.
//!
//! Requests go through Amazon's SDK, with this program's HTTP client below it. A small image is
//! sent in one request, a larger one as a multipart upload; `writer` decides. The memory of parts
//! is bounded over all uploads (`part_memory`). Objects are read through presigned URLs with the
//! HTTP client alone, so that their bytes can be spliced from socket to socket.
//!
//! Each object carries the identifier of the upload that wrote it. An upload never replaces an
//! existing object, and the cleanup of an upload removes only an object with its identifier.

mod account_clients;
mod etag_check;
mod listing;
mod location;
mod multipart_upload;
mod object;
mod object_reader;
mod options;
mod part_body;
mod part_buffer;
mod part_memory;
mod part_sizes;
mod region;
mod s3_error;
mod sdk_http;
mod streamed_part;
mod upload_plan;
mod writer;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::config::SharedHttpClient;

use self::account_clients::{AccountClients, ClientCache, S3Account};
use self::location::{S3Location, build_location};
use self::object::S3Object;
use self::object_reader::S3ObjectReader;
pub use self::options::{BucketUrl, Checksums, S3StoreOptions};
use self::part_memory::PartMemory;
use self::part_sizes::PartSizes;
use self::s3_error::S3Error;
use self::sdk_http::SdkHttpClient;
use self::upload_plan::UploadPlan;
use self::writer::S3Writer;
use super::name_taken::name_taken;
use super::{ObjectRange, Store, StoredEntry, StoredKey, Writer};
use crate::error::{Error, Kind, Result};
use crate::http_client::{AddressPolicy, HttpClient, HttpClientOptions, TlsError, client_config};
use crate::image::{ImageId, Location, Upload};
use crate::md5::HashEngine;
use crate::transfer::{Payload, RangeReader};

/// The location schemes; the first one is the store's name.
pub(super) const SCHEMES: &[&str] = &["s3", "s3+http", "s3+https"];

/// How long an idle connection is kept. Shorter than services keep theirs, so that a request rarely
/// meets a connection that is being closed.
const IDLE_LIMIT: Duration = Duration::from_secs(15);

/// The S3 store cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the S3 store: {0}")]
pub struct S3StoreError(#[from] TlsError);

/// Stores images as objects in a bucket.
pub struct S3Store {
    options: S3StoreOptions,
    http: HttpClient,
    client_cache: ClientCache,
    /// Clients of the configured account.
    own: AccountClients,
    memory: PartMemory,
    hashes: HashEngine,
}

impl S3Store {
    /// Creates the store. Does not connect. `hashes` computes the MD5s of parts.
    ///
    /// # Errors
    /// [`S3StoreError`] if the certificates cannot be loaded.
    pub fn new(
        options: S3StoreOptions,
        hashes: HashEngine,
    ) -> std::result::Result<Self, S3StoreError> {
        let http = HttpClient::new(HttpClientOptions {
            connect_timeout: options.connect_timeout,
            answer_timeout: options.response_timeout,
            idle_timeout: IDLE_LIMIT,
            address_policy: AddressPolicy::Any,
            tls: client_config(&options.tls)?,
        });
        let sdk_http = SharedHttpClient::new(SdkHttpClient::new(http.clone()));
        let client_cache = ClientCache::new(&options, sdk_http);
        Ok(Self {
            own: client_cache.of(own_account(&options)),
            memory: PartMemory::new(options.upload_memory_bytes),
            http,
            client_cache,
            hashes,
            options,
        })
    }

    /// Returns the object of an image in the configured bucket.
    fn object_of(&self, image: &ImageId) -> S3Object {
        S3Object {
            clients: self.own.clone(),
            bucket: self.options.bucket.clone(),
            key: image.to_string(),
        }
    }

    /// Returns the object at a location. The configured keys are used only for the configured
    /// service: a location may be a user's text.
    fn object_at(&self, location: &Location) -> Result<S3Object> {
        let parsed = S3Location::parse(location)?;
        let own = own_account(&self.options);
        let is_own_host = host_of(&own.endpoint).eq_ignore_ascii_case(&parsed.host);
        let clients = match (parsed.keys.clone(), is_own_host) {
            (None, true) => self.own.clone(),
            (None, false) => {
                let cause = "a location without keys is not at the configured S3 service";
                return Err(Error::internal(cause));
            }
            (Some((access_key, secret_key)), is_own_host) => self.client_cache.of(S3Account {
                endpoint: if is_own_host {
                    own.endpoint
                } else {
                    parsed.endpoint()
                },
                access_key,
                secret_key,
            }),
        };
        Ok(S3Object {
            clients,
            bucket: parsed.bucket,
            key: parsed.key,
        })
    }

    /// Decides how an image is written.
    fn plan(
        &self,
        image: &ImageId,
        upload: &Upload,
        image_bytes: Option<u64>,
    ) -> Result<UploadPlan> {
        let (options, memory) = (&self.options, &self.memory);
        let image = &image.to_lower();
        let single_put_bytes = options.single_put_bytes.min(memory.max_bytes());
        let is_single = image_bytes.is_some_and(|bytes| bytes <= single_put_bytes);
        let in_parts = image_bytes.filter(|_| !is_single);
        let sizes = PartSizes::plan(in_parts, options.part_bytes, memory.max_bytes());
        Ok(UploadPlan {
            object: self.object_of(image),
            upload: upload.clone(),
            location: build_location(&options.endpoint, &options.bucket, image.as_str())?,
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

    async fn open(&self, location: &Location, wanted: ObjectRange) -> Result<Payload> {
        let object = self.object_at(location)?;
        let reader = S3ObjectReader::new(object, self.http.clone(), wanted.object_bytes);
        let remote = RangeReader::open(Box::new(reader), wanted.offset, wanted.len).await?;
        let remote = remote.with_stall_limit(self.options.stall_timeout);
        Ok(Payload::Remote(Box::new(remote)))
    }

    async fn size(&self, location: &Location) -> Result<u64> {
        let size = self.object_at(location)?.size_bytes().await;
        size.map_err(S3Error::into_read_error)
    }

    async fn create(
        &self,
        image: &ImageId,
        upload: &Upload,
        size_hint_bytes: Option<u64>,
    ) -> Result<Box<dyn Writer>> {
        let plan = self.plan(image, upload, size_hint_bytes)?;
        // The check need not be atomic with the write: the registry admits one upload of an image at
        // a time. It finds objects that the registry does not know.
        if plan
            .object
            .exists()
            .await
            .map_err(S3Error::into_write_error)?
        {
            let name = format!("{}/{}", plan.object.bucket, plan.object.key);
            return Err(name_taken("s3", image.as_str(), &name));
        }
        Ok(Box::new(S3Writer::new(plan, size_hint_bytes)))
    }

    async fn delete(&self, location: &Location) -> Result<()> {
        let deleted = self.object_at(location)?.delete().await;
        deleted.map_err(S3Error::into_read_error)
    }

    async fn discard(&self, image: &ImageId, upload: &Upload) -> Result<()> {
        let object = self.object_of(&image.to_lower());
        let discarded = object.discard(upload.id, upload.started_at).await;
        discarded.map_err(S3Error::into_read_error)
    }

    async fn list_entries(&self) -> Result<Option<Vec<StoredEntry>>> {
        let stored = listing::images_in(&self.own, &self.options.bucket).await;
        stored.map(Some).map_err(S3Error::into_read_error)
    }

    async fn discard_entry(&self, of: &StoredKey) -> Result<()> {
        // Uploads have no objects of their own names.
        let StoredKey::Image(image) = of else {
            return Ok(());
        };
        let object = self.object_of(image);
        // In this order, because a running completion could create the object after its removal.
        object
            .abort_all(None)
            .await
            .map_err(S3Error::into_read_error)?;
        object.delete().await.map_err(S3Error::into_read_error)
    }
}

fn own_account(options: &S3StoreOptions) -> S3Account {
    S3Account {
        endpoint: options.endpoint.clone(),
        access_key: options.access_key.clone(),
        secret_key: options.secret_key.clone(),
    }
}

/// Returns a URL without its scheme.
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
    .because("its parts would be larger than the maximum of S3 (5 GiB)")
}
