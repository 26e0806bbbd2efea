//! Connects the SDK to this program's HTTP client, so that there is one HTTP and one TLS
//! implementation. Bodies are passed by reference in both directions.

use std::fmt;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::http_client::{self, HttpClientError};
use crate::transfer::HttpBody;

/// Sends the SDK's requests. Timeouts are those of the client.
#[derive(Debug)]
pub(super) struct SdkHttpClient {
    connector: SharedHttpConnector,
}

impl SdkHttpClient {
    pub(super) fn new(client: http_client::HttpClient) -> Self {
        Self {
            connector: SharedHttpConnector::new(Connector(client)),
        }
    }
}

impl HttpClient for SdkHttpClient {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.connector.clone()
    }
}

struct Connector(http_client::HttpClient);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(exchange(client, request))
    }
}

async fn exchange(
    client: http_client::HttpClient,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x();
    let request = request.map_err(|error| ConnectorError::user(error.into()))?;
    let sent = client.send(request.map(BodyExt::boxed_unsync)).await;
    let response = sent.map_err(connector_error)?;
    let response = response.map(|frames| SdkBody::from_body_1_x(SyncBody(Mutex::new(frames))));
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

/// Converts an error. Its kind decides whether the SDK retries the request.
fn connector_error(error: HttpClientError) -> ConnectorError {
    match error {
        HttpClientError::Silent(_) => ConnectorError::timeout(error.into()),
        HttpClientError::Address | HttpClientError::Forbidden | HttpClientError::TlsSetup(_) => {
            ConnectorError::user(error.into())
        }
        _ => ConnectorError::io(error.into()),
    }
}

/// Makes a body `Sync`, as the SDK requires. The mutex is never locked: `poll_frame` has exclusive
/// access.
struct SyncBody(Mutex<HttpBody>);

impl Body for SyncBody {
    type Data = Bytes;
    type Error = <HttpBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.0.get_mut() {
            Ok(frames) => Pin::new(frames).poll_frame(cx),
            Err(poisoned) => Pin::new(poisoned.into_inner()).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
