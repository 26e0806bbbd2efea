//! The client of one Glance server. It builds requests (address, token, common headers), sends
//! them over the shared HTTP client and turns failures into [`ClientError`]. The verbs of the API
//! are in `images`, `members` and `cached`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, Response};

use super::endpoint::GlanceEndpoint;
use super::error::{ClientError, Result};
use super::identity::Identity;
use super::options::ConnectOptions;
use super::response::ApiResponse;
use super::upload::{Upload, UploadReader};
use crate::http_client::{HttpClient, HttpClientError, StreamStart, StreamingRequest, full};
use crate::image::Md5Digest;
use crate::transfer::HttpBody;

/// Chunks of an upload that may wait for the socket.
const CHUNKS_QUEUED: usize = 2;

/// A client of one Glance server. Clones are cheap and share connections per thread.
///
/// Its functions need a tokio runtime with I/O and time enabled.
#[derive(Clone)]
pub struct Client {
    endpoint: Arc<GlanceEndpoint>,
    identity: Identity,
    http: HttpClient,
    progress_timeout: Duration,
}

/// A request without image data.
pub(super) struct ApiRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl ApiRequest {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a JSON body.
    pub(super) fn json(mut self, body: Vec<u8>) -> Self {
        let kind = HeaderValue::from_static("application/json");
        self.headers.insert(CONTENT_TYPE, kind);
        self.body = body.into();
        self
    }
}

impl Client {
    /// Makes a client of the server at an address: `"https://host:9292"`, `("host", 9292)` or a
    /// [`GlanceEndpoint`]. Connections are made by the first request.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] if the address is invalid.
    pub fn new<E>(endpoint: E) -> Result<Self>
    where
        E: TryInto<GlanceEndpoint>,
        ClientError: From<E::Error>,
    {
        Self::with_options(endpoint.try_into()?, &ConnectOptions::default())
    }

    /// Makes a client with settings for its connections.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] if a file with certificates or a key cannot be used.
    pub fn with_options(endpoint: GlanceEndpoint, options: &ConnectOptions) -> Result<Self> {
        Ok(Self {
            http: options.http_client(endpoint.is_tls())?,
            endpoint: Arc::new(endpoint),
            identity: Identity::default(),
            progress_timeout: options.progress_timeout,
        })
    }

    /// Sends this token (`X-Auth-Token`) with every request.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] if it contains characters that a header cannot contain.
    pub fn with_token(self, token: &str) -> Result<Self> {
        let mut value = HeaderValue::from_str(token).map_err(|_| {
            ClientError::Invalid("The token contains invalid characters.".to_owned())
        })?;
        value.set_sensitive(true);
        Ok(self.with_identity(Identity::Token(value)))
    }

    pub(super) fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// Returns the server's address.
    pub fn endpoint(&self) -> &GlanceEndpoint {
        &self.endpoint
    }

    /// Sends a request and returns the response if it is a success.
    pub(super) async fn call(&self, call: ApiRequest) -> Result<ApiResponse> {
        let mut may_repeat = call.method.is_safe();
        loop {
            let request = self.request(&call).await?;
            let request = request.map(|()| full(call.body.clone()));
            match self.http.send(request).await {
                Ok(response) => return self.response(&call, response).success().await,
                // A server may close a kept connection just before the request arrives. Reading
                // again is harmless; a change could be made twice.
                Err(error) if may_repeat && is_connection_lost(&error) => may_repeat = false,
                Err(error) => return Err(self.describe(error)),
            }
        }
    }

    /// Sends a request with image data. Returns the response and the MD5 of the data.
    ///
    /// The data are sent once the server asks for them (`100 Continue`), so that a refusal costs
    /// no transfer. A refusal during the transfer ends it and is reported.
    pub(super) async fn upload(
        &self,
        mut call: ApiRequest,
        upload: Upload,
    ) -> Result<(ApiResponse, Md5Digest)> {
        let octets = HeaderValue::from_static("application/octet-stream");
        call.headers.insert(CONTENT_TYPE, octets);
        let request = self.request(&call).await?;
        // v1 reads a Content-Length of 0 as a reservation without data, so an empty upload is
        // sent chunked.
        let length_bytes = upload.length_bytes().filter(|length| *length > 0);
        let started = self
            .http
            .start_streaming(request, length_bytes, CHUNKS_QUEUED)
            .await;
        let mut reader = upload.into_reader();
        let response = match started.map_err(|error| self.describe(error))? {
            StreamStart::Answered(response) => response,
            StreamStart::Wanted(sending) => self.send_data(sending, &mut reader).await?,
        };
        let response = self.response(&call, response).success().await?;
        let digest = reader.digest().ok_or_else(|| {
            ClientError::Protocol("it accepted the data before all of them were sent".to_owned())
        })?;
        Ok((response, digest))
    }

    /// Sends the data of an upload until their end or until the server responds.
    async fn send_data(
        &self,
        mut sending: StreamingRequest,
        reader: &mut UploadReader,
    ) -> Result<Response<HttpBody>> {
        loop {
            let chunk = tokio::select! {
                // The source may be slow; a refusal must not wait for its next byte.
                early = sending.early_response() => {
                    return early.map_err(|error| self.describe(error));
                }
                chunk = reader.chunk() => chunk,
            };
            let chunk =
                chunk.map_err(|error| ClientError::io("Cannot read the image data", error))?;
            let Some(chunk) = chunk else { break };
            let pushed = sending.push(chunk).await;
            if let Some(early) = pushed.map_err(|error| self.describe(error))? {
                return Ok(early);
            }
        }
        let sent = sending.end().await.map_err(|error| self.describe(error))?;
        sent.answer().await.map_err(|error| self.describe(error))
    }

    async fn request(&self, call: &ApiRequest) -> Result<Request<()>> {
        let mut request = Request::new(());
        *request.method_mut() = call.method.clone();
        // Paths consist of escaped segments, which always parse.
        *request.uri_mut() = self.endpoint.uri(&call.path).parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.extend(call.headers.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let agent = concat!("glance/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(token) = self.identity.token().await? {
            headers.insert("x-auth-token", token);
        }
        Ok(request)
    }

    fn response(&self, call: &ApiRequest, response: Response<HttpBody>) -> ApiResponse {
        let status = response.status().as_u16();
        tracing::debug!(method = %call.method, path = %call.path, status);
        ApiResponse::new(response, self.endpoint.authority(), self.progress_timeout)
    }

    fn describe(&self, error: HttpClientError) -> ClientError {
        ClientError::of_http(error, &self.endpoint.authority())
    }
}

/// Returns true if the connection ended before a response; false for a response that is not HTTP
/// and for everything that a repetition cannot change.
fn is_connection_lost(error: &HttpClientError) -> bool {
    match error {
        HttpClientError::Closed => true,
        HttpClientError::Http(error) => !error.is_parse(),
        _ => false,
    }
}

impl From<std::convert::Infallible> for ClientError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
