//! Sends requests to one registry server and reads its responses.

use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, DATE, ETAG, IF_MATCH, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, request};
use serde::de::DeserializeOwned;

use super::super::Version;
use super::super::refusals::unavailable;
use super::options::{RemoteError, RemoteOptions};
use crate::error::{Error, Kind, Result};
use crate::http_client::{
    AddressPolicy, HttpClient, HttpClientError, HttpClientOptions, empty, full,
};
use crate::image::Timestamp;
use crate::metrics;
use crate::wire::registry::{RECORD, TARGET_LIST_BYTES, VERSION};

/// Idle time after which connections are closed; a registry server closes them after a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum length of a response. The last record of a list may exceed the target size of the list;
/// it has at most 64 KiB, and half as much again as JSON.
const MAX_RESPONSE_BYTES: usize = TARGET_LIST_BYTES + (1 << 20);

const JSON: &str = "application/json";

/// Header of a PUT: properties that are not in the body are removed.
const PURGE_PROPERTIES: &str = "x-glance-registry-purge-props";

/// The identity of this client, for a registry server that trusts identity headers.
const IDENTITY_HEADERS: [(&str, &str); 3] = [
    ("x-identity-status", "Confirmed"),
    ("x-user-id", "glance-api"),
    ("x-roles", "admin"),
];

/// The connection to one registry server.
pub(super) struct ServerEndpoint {
    client: HttpClient,
    address: String,
}

/// A response.
pub(super) struct RegistryResponse {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// The error of a request without a response.
pub(super) struct RequestFailure {
    /// True if the request has certainly not reached the server.
    pub(super) is_unsent: bool,
    pub(super) cause: HttpClientError,
}

impl ServerEndpoint {
    pub(super) fn new(options: &RemoteOptions) -> std::result::Result<Self, RemoteError> {
        let bad = || RemoteError::Address(options.address.clone());
        let uri: Uri = options.address.parse().map_err(|_| bad())?;
        uri.host().ok_or_else(bad)?;
        Ok(Self {
            client: HttpClient::new(HttpClientOptions {
                connect_timeout: options.timeout,
                answer_timeout: options.timeout,
                idle_timeout: IDLE_TIMEOUT,
                address_policy: AddressPolicy::Any,
                tls: options.tls.clone(),
            }),
            address: options.address.trim_end_matches('/').to_owned(),
        })
    }

    /// Sends a GET, conditional on the known entity tag if there is one. Repeats it once if the
    /// connection broke, as it does when the server is restarted.
    pub(super) async fn read(
        &self,
        operation: &'static str,
        path: &str,
        cached: Option<&HeaderValue>,
    ) -> std::result::Result<RegistryResponse, RequestFailure> {
        let ask = || async {
            let mut request = self.request(Method::GET, path);
            if let Some(tag) = cached {
                request = request.header(IF_NONE_MATCH, tag);
            }
            self.ask(operation, request, None).await
        };
        match ask().await {
            Err(failure) if !failure.is_unsent && !failure.is_silence() => ask().await,
            result => result,
        }
    }

    /// Sends a write once, with the version that was seen and its entity tag if that is known.
    pub(super) async fn write(
        &self,
        method: Method,
        path: &str,
        (seen, tag): (Version, Option<&HeaderValue>),
        body: Vec<u8>,
    ) -> std::result::Result<RegistryResponse, RequestFailure> {
        let operation = match method {
            Method::POST => "insert",
            _ => "replace",
        };
        let request = self.request(method, path);
        let mut request = request.header(CONTENT_TYPE, RECORD).header(VERSION, seen);
        if let Some(tag) = tag {
            request = request.header(IF_MATCH, tag);
        }
        self.ask(operation, request, Some(body)).await
    }

    /// Returns the address of the server.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request of the legacy protocol once.
    pub(super) async fn request_legacy(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> std::result::Result<RegistryResponse, RequestFailure> {
        let mut request = self.addressed(method, path).header(ACCEPT, JSON);
        if body.is_some() {
            request = request
                .header(CONTENT_TYPE, JSON)
                .header(PURGE_PROPERTIES, "true");
        }
        self.ask(operation, request, body).await
    }

    fn request(&self, method: Method, path: &str) -> request::Builder {
        let request = self.addressed(method, path);
        // Errors have JSON bodies.
        request.header(ACCEPT, format!("{RECORD}, {JSON}"))
    }

    fn addressed(&self, method: Method, path: &str) -> request::Builder {
        let request = Request::builder().method(method);
        let mut request = request.uri(format!("{}{path}", self.address));
        for (name, value) in IDENTITY_HEADERS {
            request = request.header(name, value);
        }
        request
    }

    async fn ask(
        &self,
        operation: &'static str,
        request: request::Builder,
        body: Option<Vec<u8>>,
    ) -> std::result::Result<RegistryResponse, RequestFailure> {
        let began = Instant::now();
        let body = body.map_or_else(empty, |body| full(body.into()));
        let request = request.body(body).map_err(|_| HttpClientError::Address)?;
        let answer = self.client.fetch(request, MAX_RESPONSE_BYTES).await;
        metrics::registry_request("remote", operation, answer.is_ok(), began.elapsed());
        let (head, body) = answer?.into_parts();
        Ok(RegistryResponse {
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

impl RegistryResponse {
    /// Returns true if the response is from a server with the record protocol.
    pub(super) fn has_records(&self) -> bool {
        let content_type = self.headers.get(CONTENT_TYPE);
        content_type.is_some_and(|content_type| content_type == RECORD)
    }

    /// Returns the entity tag of the record in the response.
    pub(super) fn tag(&self) -> Option<HeaderValue> {
        self.headers.get(ETAG).cloned()
    }

    /// Returns the time of the response by the server's clock (`Date`, to the second).
    pub(super) fn date(&self) -> Option<Timestamp> {
        let text = self.headers.get(DATE)?.to_str().ok()?;
        let date = httpdate::parse_http_date(text).ok()?;
        let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since_epoch.as_micros())
            .ok()
            .map(Timestamp::from_micros)
    }

    /// Returns the body.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Parses the body of a response in the record protocol.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.record_body()?).map_err(Error::internal)
    }

    /// Returns the body of a response in the record protocol.
    ///
    /// # Errors
    /// `Unavailable` if the server does not speak it.
    pub(super) fn record_body(&self) -> Result<&[u8]> {
        if !self.has_records() {
            let cause = "the server at registry_host and registry_port is not a glance-registry";
            return Err(unavailable("The registry server cannot be used.", cause));
        }
        Ok(&self.body)
    }

    /// Converts an error response.
    pub(super) fn refusal(&self) -> Error {
        let message = self.message();
        match self.status {
            StatusCode::BAD_REQUEST => Error::new(Kind::Invalid, message),
            StatusCode::CONFLICT => Error::new(Kind::Conflict, message),
            StatusCode::PAYLOAD_TOO_LARGE => Error::new(Kind::TooLarge, message),
            StatusCode::SERVICE_UNAVAILABLE => Error::new(
                Kind::Unavailable {
                    retry_after: self.retry_after(),
                },
                message,
            ),
            status => {
                let cause = format!("the registry server responded {status}: {message}");
                unavailable("The registry server has refused the request.", cause)
            }
        }
    }

    /// Returns the detail in the page of an error.
    fn message(&self) -> String {
        let page: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let message = page["message"].as_str().unwrap_or_default();
        let detail = message.rsplit("<br />").next().unwrap_or_default();
        detail.trim().to_owned()
    }

    fn retry_after(&self) -> Duration {
        let seconds = self.headers.get(RETRY_AFTER).and_then(|value| {
            let text = value.to_str().ok()?;
            text.parse().ok()
        });
        Duration::from_secs(seconds.unwrap_or(1))
    }
}

impl RequestFailure {
    /// Returns true if the response exceeded the maximum length.
    pub(super) fn is_too_long(&self) -> bool {
        matches!(self.cause, HttpClientError::TooMuch)
    }

    fn is_silence(&self) -> bool {
        matches!(self.cause, HttpClientError::Silent(_))
    }
}

impl From<HttpClientError> for RequestFailure {
    fn from(cause: HttpClientError) -> Self {
        Self {
            is_unsent: cause.is_unsent(),
            cause,
        }
    }
}
