//! One question to a registry server, and its answer.

use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, DATE, ETAG, IF_MATCH, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, request};
use serde::de::DeserializeOwned;

use super::super::Version;
use super::super::unavailable;
use super::options::{RemoteError, RemoteOptions};
use crate::error::{Error, Kind, Result};
use crate::http_client::{
    AddressPolicy, HttpClient, HttpClientError, HttpClientOptions, empty, full,
};
use crate::image::Timestamp;
use crate::metrics;
use crate::wire::registry::{RECORD, TARGET_LIST_BYTES, VERSION};

/// A registry server closes a connection that rests for a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer: the record that goes beyond has 64 KiB, and half as much again as text.
const MAX_RESPONSE_BYTES: usize = TARGET_LIST_BYTES + (1 << 20);

const JSON: &str = "application/json";

/// Of a PUT: properties that are not named go.
const PURGE_PROPERTIES: &str = "x-glance-registry-purge-props";

/// Who asks, to a registry server that lets proxies say it.
const IDENTITY_HEADERS: [(&str, &str); 3] = [
    ("x-identity-status", "Confirmed"),
    ("x-user-id", "glance-api"),
    ("x-roles", "admin"),
];

/// Asks one registry server.
pub(super) struct ServerEndpoint {
    client: HttpClient,
    address: String,
}

/// What it answered.
pub(super) struct RegistryResponse {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// There was no answer.
pub(super) struct RequestFailure {
    /// Whether the question certainly did not arrive.
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

    /// Reads, unless the record still has the tag that is known; once more when the connection
    /// broke, as it does when a server is started anew.
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

    /// Writes, once; with the tag of the record that was seen, where it is known.
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

    /// Where the server is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Asks in the dialect of Glance's own, once.
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
        // Errors are JSON.
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
    /// Whether one of our own servers has answered.
    pub(super) fn has_records(&self) -> bool {
        let content_type = self.headers.get(CONTENT_TYPE);
        content_type.is_some_and(|content_type| content_type == RECORD)
    }

    /// The tag of the record in the answer.
    pub(super) fn tag(&self) -> Option<HeaderValue> {
        self.headers.get(ETAG).cloned()
    }

    /// When the server began to answer, by its own clock (`Date`, to the second).
    pub(super) fn date(&self) -> Option<Timestamp> {
        let text = self.headers.get(DATE)?.to_str().ok()?;
        let date = httpdate::parse_http_date(text).ok()?;
        let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since_epoch.as_micros())
            .ok()
            .map(Timestamp::from_micros)
    }

    /// The body as it is.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// What the body says, if it is one of ours.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.body_of_ours()?).map_err(Error::internal)
    }

    /// The body as it is, if it is one of ours.
    pub(super) fn body_of_ours(&self) -> Result<&[u8]> {
        if !self.has_records() {
            let cause =
                "whoever listens at registry_host and registry_port is no glance-registry of ours";
            return Err(unavailable("The registry server cannot be used.", cause));
        }
        Ok(&self.body)
    }

    /// What a refusal means here.
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
                let cause = format!("the registry server answered {status}: {message}");
                unavailable("The registry server refuses.", cause)
            }
        }
    }

    /// The detail in an error's page.
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
    /// Whether the answer had more bytes than are read.
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
