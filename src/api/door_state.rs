//! What the doors of the image API and of the registry API have in common.

use std::path::PathBuf;
use std::sync::Arc;

use super::answer::Answer;
use super::body::Patience;
use super::exchange::Exchange;
use super::health::{NodeHealth, health_answer};
use crate::auth::Authenticator;
use crate::error::Result;
use crate::image::Caller;
use crate::service::Service;

/// What an operator says about a door.
#[derive(Debug, Clone)]
pub struct DoorSettings {
    /// What senders may take their time for.
    pub patience: Patience,
    /// Start of the URLs in answers; without it, what the client asked for.
    pub public_endpoint: Option<String>,
    /// While this file is there, `/healthcheck` says that the node is out of service.
    pub disable_by_file: Option<PathBuf>,
    /// Whether the image cache is shown.
    pub manages_cache: bool,
}

/// What a door opens on, and who is let in.
pub struct DoorState {
    /// The verbs.
    pub service: Arc<Service>,
    /// Who finds out who is asking.
    pub authenticator: Arc<Authenticator>,
    /// What the operator says.
    pub settings: DoorSettings,
    /// What `/healthcheck` asks.
    pub health: Arc<NodeHealth>,
}

impl DoorState {
    /// Who is asking, as the node's rules know them.
    pub(super) async fn caller(&self, exchange: &Exchange) -> Result<Arc<Caller>> {
        let headers = exchange.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let peer = exchange.connection.peer().ip();
        let caller = self.authenticator.caller(peer, headers).await?;
        Ok(self.service.recognised(caller))
    }

    /// What `/healthcheck` answers now.
    pub(super) async fn healthcheck(&self) -> Answer {
        let disable_by_file = self.settings.disable_by_file.as_deref();
        health_answer(self.health.problem(&self.service, disable_by_file).await)
    }
}
