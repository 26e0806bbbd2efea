//! What the doors of the image API and of the registry API have in common.

use std::path::PathBuf;
use std::sync::Arc;

use super::body::BodyTimeouts;
use super::health::{NodeHealth, health_response};
use super::request::ApiRequest;
use super::response::ApiResponse;
use crate::auth::Authenticator;
use crate::error::Result;
use crate::image::Caller;
use crate::service::Service;

/// What an operator says about a door.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// What senders may take their time for.
    pub timeouts: BodyTimeouts,
    /// Start of the URLs in answers; without it, what the client asked for.
    pub public_endpoint: Option<String>,
    /// While this file is there, `/healthcheck` says that the node is out of service.
    pub disable_by_file: Option<PathBuf>,
    /// Whether the image cache is shown.
    pub manages_cache: bool,
}

/// What a door opens on, and who is let in.
pub struct ApiState {
    /// The verbs.
    pub service: Arc<Service>,
    /// Who finds out who is asking.
    pub authenticator: Arc<Authenticator>,
    /// What the operator says.
    pub settings: ApiSettings,
    /// What `/healthcheck` asks.
    pub health: Arc<NodeHealth>,
}

impl ApiState {
    /// Who is asking, as the node's rules know them.
    pub(super) async fn caller(&self, request: &ApiRequest) -> Result<Arc<Caller>> {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let peer = request.connection.peer().ip();
        let caller = self.authenticator.caller(peer, headers).await?;
        Ok(self.service.with_policy_roles(caller))
    }

    /// What `/healthcheck` answers now.
    pub(super) async fn healthcheck(&self) -> ApiResponse {
        let disable_by_file = self.settings.disable_by_file.as_deref();
        health_response(self.health.problem(&self.service, disable_by_file).await)
    }
}
