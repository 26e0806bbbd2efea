//! The door of a registry server: Glance's registry API for API servers of any make, and
//! whole records for our own.

mod context;
mod endpoint;
mod images;
mod members;
mod records;

use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};

use self::context::Context;
use self::endpoint::{Endpoint, route};
use super::answer::Answer;
use super::errors::{method_not_allowed, status_page};
use super::exchange::Exchange;
use super::frame::Door;
use super::health::{NodeHealth, health_answer};
use super::v1::V1Settings;
use crate::auth::Authenticator;
use crate::error::Result;
use crate::image::Caller;
use crate::service::Service;
use crate::wire::registry::RECORD;

/// The registry API over the service.
pub struct RegistryDoor {
    service: Arc<Service>,
    authenticator: Arc<Authenticator>,
    settings: V1Settings,
    health: Arc<NodeHealth>,
}

impl RegistryDoor {
    /// The door to a service, for whom the authenticator lets in.
    pub fn new(
        service: Arc<Service>,
        authenticator: Arc<Authenticator>,
        settings: V1Settings,
        health: Arc<NodeHealth>,
    ) -> Self {
        Self {
            service,
            authenticator,
            settings,
            health,
        }
    }

    async fn dispatch(&self, endpoint: Endpoint, mut exchange: Exchange) -> Result<Answer> {
        match endpoint {
            Endpoint::Healthcheck => return Ok(self.healthcheck().await),
            Endpoint::NotFound => {
                return Ok(status_page(StatusCode::NOT_FOUND, "", exchange.form));
            }
            Endpoint::MethodNotAllowed(allowed) => {
                return Ok(method_not_allowed(allowed, exchange.form));
            }
            _ => {}
        }
        let context = Context {
            service: &self.service,
            settings: &self.settings,
            caller: self.caller(&exchange).await?,
        };
        if speaks_records(&exchange) {
            return records::answer(&context, endpoint, &mut exchange).await;
        }
        images::answer(&context, endpoint, &mut exchange).await
    }

    async fn caller(&self, exchange: &Exchange) -> Result<Arc<Caller>> {
        let headers = exchange.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let peer = exchange.connection.peer().ip();
        let caller = self.authenticator.caller(peer, headers).await?;
        Ok(self.service.recognised(caller))
    }

    async fn healthcheck(&self) -> Answer {
        let disable_by_file = self.settings.disable_by_file.as_deref();
        health_answer(self.health.problem(&self.service, disable_by_file).await)
    }
}

impl Door for RegistryDoor {
    fn challenge(&self) -> Option<&str> {
        self.authenticator.challenge()
    }

    async fn answer(self: Rc<Self>, exchange: Exchange) -> (&'static str, Result<Answer>) {
        let endpoint = route(exchange.method(), exchange.head.uri.path());
        (endpoint.route(), self.dispatch(endpoint, exchange).await)
    }
}

/// Whether whoever asks is one of our own servers.
fn speaks_records(exchange: &Exchange) -> bool {
    let has = |name| {
        let value = exchange.header(name);
        value.is_some_and(|value| value.contains(RECORD))
    };
    has(ACCEPT) || has(CONTENT_TYPE)
}
