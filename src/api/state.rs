//! State that the tenants' API and the registry API share: the service, the authenticator, the
//! operator's settings and the node's health.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::body::BodyTimeouts;
use super::health::{NodeHealth, health_response};
use super::request::ApiRequest;
use super::response::ApiResponse;
use crate::auth::Authenticator;
use crate::error::Result;
use crate::image::Caller;
use crate::service::Catalog;

/// Settings of an API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Time limits for request bodies.
    pub timeouts: BodyTimeouts,
    /// Scheme and authority of URLs in responses; `None` takes them from the request.
    pub public_endpoint: Option<String>,
    /// While this file exists, `/healthcheck` reports the node as out of service.
    pub disable_by_file: Option<PathBuf>,
    /// True if the management API of the image cache is served.
    pub manages_cache: bool,
}

/// The parts that an API needs. Every worker thread has its own.
pub struct ApiState {
    /// The image records.
    pub catalog: Arc<Catalog>,
    /// Finds the caller of a request.
    pub authenticator: Arc<Authenticator>,
    /// The operator's settings.
    pub settings: ApiSettings,
    /// The node's own part of `/healthcheck`.
    pub health: Arc<NodeHealth>,
}

impl ApiState {
    /// Returns the caller of a request, with the roles that the policy adds.
    pub(super) async fn caller(&self, request: &ApiRequest) -> Result<Arc<Caller>> {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let peer = request.connection.peer().ip();
        let caller = self.authenticator.caller(peer, headers).await?;
        Ok(self.catalog.authorization().with_policy_roles(caller))
    }

    /// Returns the response to `/healthcheck`.
    pub(super) async fn healthcheck(&self) -> ApiResponse {
        let disable_by_file = self.settings.disable_by_file.as_deref();
        health_response(self.health.problem(&self.catalog, disable_by_file).await)
    }

    /// Returns the scheme and authority of URLs in responses: as configured, or as the client
    /// addressed this server. A client of HTTP/1.0 may name no host; then it is the address at
    /// which the client reached this server.
    pub(super) fn base_url(&self, request: &ApiRequest) -> String {
        if let Some(endpoint) = &self.settings.public_endpoint {
            return endpoint.trim_end_matches('/').to_owned();
        }
        if let Some(authority) = request.authority() {
            return format!("http://{authority}");
        }
        let local = request.connection.local();
        let address = local.map(|local| SocketAddr::new(local.ip().to_canonical(), local.port()));
        match address {
            Some(address) => format!("http://{address}"),
            // The connection is closed, so the response reaches no client.
            None => "http://localhost".to_owned(),
        }
    }
}
