//! The door of a registry server: Glance's registry API for API servers of any make, and
//! whole records for our own.

mod context;
mod endpoint;
mod images;
mod members;
mod records;

use std::rc::Rc;

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};

use self::context::Context;
use self::endpoint::{Endpoint, route};
use super::answer::Answer;
use super::body::refuse_partial;
use super::door_state::DoorState;
use super::errors::{method_not_allowed, status_page};
use super::exchange::Exchange;
use super::frame::Door;
use crate::error::Result;
use crate::wire::registry::RECORD;

/// The registry API over the service.
pub struct RegistryDoor {
    state: DoorState,
}

impl RegistryDoor {
    /// The door to a service, for whom the authenticator lets in.
    pub fn new(state: DoorState) -> Self {
        Self { state }
    }

    async fn dispatch(&self, endpoint: Endpoint, mut exchange: Exchange) -> Result<Answer> {
        match endpoint {
            Endpoint::Healthcheck => return Ok(self.state.healthcheck().await),
            Endpoint::NotFound => {
                return Ok(status_page(StatusCode::NOT_FOUND, "", exchange.form));
            }
            Endpoint::MethodNotAllowed(allowed) => {
                return Ok(method_not_allowed(allowed, exchange.form));
            }
            _ => {}
        }
        let context = Context {
            service: &self.state.service,
            settings: &self.state.settings,
            caller: self.state.caller(&exchange).await?,
        };
        refuse_partial(&exchange)?;
        if speaks_records(&exchange) {
            return records::answer(&context, endpoint, &mut exchange).await;
        }
        images::answer(&context, endpoint, &mut exchange).await
    }
}

impl Door for RegistryDoor {
    fn challenge(&self) -> Option<&str> {
        self.state.authenticator.challenge()
    }

    fn identity_headers(&self) -> &'static str {
        self.state.authenticator.identity_headers()
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
