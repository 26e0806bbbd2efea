//! The client: a server's address, who is asking, and the connections kept open.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING,
    USER_AGENT,
};
use http::{Method, Request};

use super::connection::{Connection, RequestBody};
use super::endpoint::GlanceEndpoint;
use super::error::{ClientError, Result};
use super::response::{ApiResponse, IdleConnections, describe};
use super::upload::{Upload, UploadWatch};
use crate::image::Md5Digest;

/// How long a connection may take to be made.
pub const DEFAULT_CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long the server may be silent.
pub const DEFAULT_PROGRESS_LIMIT: Duration = Duration::from_secs(60);
/// How long the server's leave to send data is waited for, before they are sent without;
/// some servers never give it (RFC 9110, 10.1.1).
const CONTINUE_LIMIT: Duration = Duration::from_secs(1);

/// A client of one Glance server. Cloning it is cheap, and clones share their connections.
///
/// Its functions need a tokio runtime with I/O and time enabled.
#[derive(Clone)]
pub struct Client {
    endpoint: Arc<GlanceEndpoint>,
    token: Option<HeaderValue>,
    connect_limit: Duration,
    progress_limit: Duration,
    idle: IdleConnections,
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

    /// With a JSON body.
    pub(super) fn json(mut self, body: Vec<u8>) -> Self {
        let kind = HeaderValue::from_static("application/json");
        self.headers.insert(CONTENT_TYPE, kind);
        self.body = body.into();
        self
    }
}

impl Client {
    /// A client of the server at this address: `"http://host:9292"`, `("host", 9292)` or an
    /// [`GlanceEndpoint`]. Nothing is sent before the first request.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for an address that is none.
    pub fn new<E>(endpoint: E) -> Result<Self>
    where
        E: TryInto<GlanceEndpoint>,
        ClientError: From<E::Error>,
    {
        Ok(Self {
            endpoint: Arc::new(endpoint.try_into()?),
            token: None,
            connect_limit: DEFAULT_CONNECT_LIMIT,
            progress_limit: DEFAULT_PROGRESS_LIMIT,
            idle: IdleConnections::default(),
        })
    }

    /// Sends this token (`X-Auth-Token`) with every request.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] where it cannot stand in a header.
    pub fn with_token(mut self, token: &str) -> Result<Self> {
        let mut value = HeaderValue::from_str(token).map_err(|_| {
            ClientError::Invalid("The token has characters that no token has.".to_owned())
        })?;
        value.set_sensitive(true);
        self.token = Some(value);
        Ok(self)
    }

    /// Limits how long connecting may take, and how long nothing may move on a connection.
    pub fn with_limits(mut self, connect: Duration, progress: Duration) -> Self {
        self.connect_limit = connect;
        self.progress_limit = progress;
        self
    }

    /// The server's address.
    pub fn endpoint(&self) -> &GlanceEndpoint {
        &self.endpoint
    }

    /// Makes a request and returns the answer, if it is a success.
    pub(super) async fn call(&self, call: ApiRequest) -> Result<ApiResponse> {
        loop {
            let mut connection = self.connection().await?;
            let request = self.request(&call, RequestBody::Small(call.body.clone()));
            match connection.sender.try_send_request(request).await {
                Ok(response) => {
                    let reply = self.reply(response, connection);
                    tracing::debug!(
                        method = %call.method, path = %call.path, status = reply.status.as_u16()
                    );
                    return reply.success().await;
                }
                Err(mut failure) => {
                    // A kept connection may have been closed by the server meanwhile. What was
                    // not sent, or asks only to be told something, is asked again.
                    let unsent = failure.take_message().is_some();
                    let is_safe = call.method.is_safe() && !failure.error().is_parse();
                    if !(connection.is_reused && (unsent || is_safe)) {
                        return Err(self.describe(failure.into_error()));
                    }
                }
            }
        }
    }

    /// Makes a request with image data. The answer comes with the MD5 of the data.
    ///
    /// The data wait for the server's leave, so that a refusal costs no transfer; a refusal in
    /// the middle ends the transfer and is read.
    pub(super) async fn upload(
        &self,
        call: ApiRequest,
        upload: Upload,
    ) -> Result<(ApiResponse, Md5Digest)> {
        let mut connection = self.new_connection().await?;
        let (body, watch) = upload.into_body(connection.source_wait.clone());
        let announced = body.announced();
        let mut request = self.request(&call, RequestBody::Upload(Box::new(body)));
        let headers = request.headers_mut();
        let octets = HeaderValue::from_static("application/octet-stream");
        headers.insert(CONTENT_TYPE, octets);
        headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        match announced {
            Some(length) => headers.insert(CONTENT_LENGTH, length.into()),
            None => headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        };
        let gate = watch.gate.clone();
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == http::StatusCode::CONTINUE {
                gate.open();
            }
        });
        let answer = answer_to(connection.sender.send_request(request), &watch).await;
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                return Err(match watch.take_source_error() {
                    Some(source) => ClientError::io("Reading the image data failed", source),
                    None => self.describe(error),
                });
            }
        };
        let is_refused = !response.status().is_success();
        tracing::debug!(
            method = %call.method, path = %call.path, status = response.status().as_u16()
        );
        let mut reply = self.reply(response, connection);
        if is_refused {
            watch.gate.stop();
            reply = reply.of_unfinished_request();
        }
        let reply = reply.success().await?;
        let digest = watch.digest().ok_or_else(|| {
            ClientError::Protocol("it accepted the data before it had all of them".to_owned())
        })?;
        Ok((reply, digest))
    }

    fn request(&self, call: &ApiRequest, body: RequestBody) -> Request<RequestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = call.method.clone();
        // Paths are made of escaped segments, which always parse.
        *request.uri_mut() = call.path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.extend(call.headers.clone());
        if let Ok(host) = HeaderValue::from_str(&self.endpoint.authority()) {
            headers.insert(HOST, host);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let agent = concat!("glance/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(token) = &self.token {
            headers.insert("x-auth-token", token.clone());
        }
        request
    }

    fn reply(
        &self,
        response: hyper::Response<hyper::body::Incoming>,
        on: Connection,
    ) -> ApiResponse {
        let address = self.endpoint.authority();
        ApiResponse::new(
            response,
            on,
            self.idle.clone(),
            address,
            self.progress_limit,
        )
    }

    /// A connection that was kept, or a new one.
    async fn connection(&self) -> Result<Connection> {
        while let Some(mut connection) = self.take_idle() {
            if connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        self.new_connection().await
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    async fn new_connection(&self) -> Result<Connection> {
        Connection::open(&self.endpoint, self.connect_limit, self.progress_limit).await
    }

    fn describe(&self, error: hyper::Error) -> ClientError {
        describe(error, &self.endpoint.authority(), self.progress_limit)
    }
}

/// Waits for the answer; opens the gate when the server takes too long to ask for the data.
async fn answer_to<T>(
    answer: impl Future<Output = hyper::Result<T>>,
    watch: &UploadWatch,
) -> hyper::Result<T> {
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        outcome = &mut answer => return outcome,
        () = tokio::time::sleep(CONTINUE_LIMIT) => watch.gate.open(),
    }
    answer.await
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
