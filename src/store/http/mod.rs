//! The HTTP store: reads images that stay on web servers, and never writes.
//!
//! Users name the URLs, so every address is filtered before it is dialled, also after a redirect
//! and a DNS lookup (see `redirecting_client` and [`AddressPolicy`]).

mod object_reader;
mod object_response;
mod options;
mod redirecting_client;
mod response_body;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{HeaderMap, HeaderValue, RANGE};
use http::{Method, response};

use self::object_reader::{DiscardLimits, HttpObjectReader};
use self::object_response::{length_by_head, length_by_range};
pub use self::options::HttpStoreOptions;
use self::redirecting_client::RedirectingClient;
use super::{ObjectRange, Store, Writer};
use crate::error::{Error, Kind, Result};
use crate::http_client::{AddressPolicy, HttpClient, HttpClientOptions, TlsError, client_config};
use crate::image::{HttpUri, ImageId, Location, Upload};
use crate::transfer::{Payload, RangeReader};

/// The location schemes; the first one is the store's name.
pub(super) const SCHEMES: &[&str] = &["http", "https"];

/// Reads objects from web servers.
pub struct HttpStore {
    client: Arc<RedirectingClient>,
    limits: DiscardLimits,
}

impl HttpStore {
    /// Creates the store. Does not connect.
    ///
    /// # Errors
    /// [`TlsError`] if the certificates cannot be loaded.
    pub fn new(options: HttpStoreOptions) -> std::result::Result<Self, TlsError> {
        let address_filter = options.address_filter.clone();
        let client = HttpClient::new(HttpClientOptions {
            connect_timeout: options.connect_timeout,
            answer_timeout: options.answer_timeout,
            // Hosts are arbitrary and rarely reused, so idle connections are not kept.
            idle_timeout: Duration::ZERO,
            address_policy: AddressPolicy::Filtered(options.address_filter),
            tls: client_config(&options.tls)?,
        });
        Ok(Self {
            client: Arc::new(RedirectingClient {
                client,
                max_redirects: options.max_redirects,
                rules: options.rules,
                address_filter,
            }),
            limits: DiscardLimits {
                max_discarded_bytes: options.max_discarded_bytes,
                stall: options.stall_timeout,
            },
        })
    }

    /// Sends a request and returns the head of the response.
    async fn head_of(
        &self,
        uri: &HttpUri,
        method: Method,
        headers: &HeaderMap,
    ) -> Result<response::Parts> {
        // Dropping the body closes the connection.
        Ok(self.client.send(uri, method, headers).await?.0)
    }
}

#[async_trait(?Send)]
impl Store for HttpStore {
    fn schemes(&self) -> &'static [&'static str] {
        SCHEMES
    }

    fn source_schemes(&self) -> &'static [&'static str] {
        SCHEMES
    }

    /// Web servers may ignore `Range`.
    fn serves_ranges(&self) -> bool {
        false
    }

    async fn open(&self, location: &Location, wanted: ObjectRange) -> Result<Payload> {
        let origin = HttpObjectReader::new(
            Arc::clone(&self.client),
            uri_of(location)?,
            wanted.object_bytes,
            self.limits,
        );
        let remote = RangeReader::open(Box::new(origin), wanted.offset, wanted.len).await?;
        let remote = remote.with_stall_limit(self.limits.stall);
        Ok(Payload::Remote(Box::new(remote)))
    }

    async fn size(&self, location: &Location) -> Result<u64> {
        let uri = uri_of(location)?;
        let head = self.head_of(&uri, Method::HEAD, &HeaderMap::new()).await?;
        let by_head = length_by_head(&head)?;
        if let Some(length) = by_head.filter(|length| *length > 0) {
            return Ok(length);
        }
        // The server refuses HEAD (as for URLs that are signed for GET), or states no length.
        let first_byte = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-0"))]);
        let head = self.head_of(&uri, Method::GET, &first_byte).await?;
        length_by_range(&head, by_head)
    }

    async fn create(
        &self,
        _image: &ImageId,
        _upload: &Upload,
        _size_hint_bytes: Option<u64>,
    ) -> Result<Box<dyn Writer>> {
        Err(Error::new(
            Kind::StoreReadOnly,
            "The store http takes no images: name another one in x-image-meta-store.",
        ))
    }

    /// Does nothing: the object belongs to its web server.
    async fn delete(&self, _location: &Location) -> Result<()> {
        Ok(())
    }

    async fn discard(&self, _image: &ImageId, _upload: &Upload) -> Result<()> {
        Ok(())
    }
}

fn uri_of(location: &Location) -> Result<HttpUri> {
    let uri = format!("{}:{}", location.scheme(), location.expose_rest());
    HttpUri::parse(&uri).map_err(Error::internal)
}
