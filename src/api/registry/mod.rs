//! The door of a registry server: Glance's registry API for API servers of any make, and
//! whole records for our own.

mod context;
mod documents;
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
use super::body::refuse_partial;
use super::errors::{method_not_allowed, status_response};
use super::request::ApiRequest;
use super::response::ApiResponse;
use super::server::Api;
use super::state::ApiState;
use crate::error::Result;
use crate::service::RegistryService;
use crate::wire::registry::RECORD;

/// The registry API over the service.
pub struct RegistryApi {
    state: ApiState,
    service: RegistryService,
}

impl RegistryApi {
    /// The door to a service, for whom the authenticator lets in.
    pub fn new(state: ApiState) -> Self {
        let service = RegistryService::new(Arc::clone(&state.catalog));
        Self { state, service }
    }

    async fn dispatch(&self, endpoint: Endpoint, mut request: ApiRequest) -> Result<ApiResponse> {
        match endpoint {
            Endpoint::Healthcheck => return Ok(self.state.healthcheck().await),
            Endpoint::NotFound => {
                return Ok(status_response(
                    StatusCode::NOT_FOUND,
                    "",
                    request.error_format,
                ));
            }
            Endpoint::MethodNotAllowed(allowed) => {
                return Ok(method_not_allowed(allowed, request.error_format));
            }
            _ => {}
        }
        let context = Context {
            service: &self.service,
            settings: &self.state.settings,
            caller: self.state.caller(&request).await?,
        };
        refuse_partial(&request)?;
        if speaks_records(&request) {
            return records::respond(&context, endpoint, &mut request).await;
        }
        images::respond(&context, endpoint, &mut request).await
    }
}

impl Api for RegistryApi {
    fn challenge(&self) -> Option<&str> {
        self.state.authenticator.challenge()
    }

    fn identity_headers(&self) -> &'static str {
        self.state.authenticator.identity_headers()
    }

    async fn handle(self: Rc<Self>, request: ApiRequest) -> (&'static str, Result<ApiResponse>) {
        let endpoint = route(request.method(), request.head.uri.path());
        (endpoint.route(), self.dispatch(endpoint, request).await)
    }
}

/// Whether whoever asks is one of our own servers.
fn speaks_records(request: &ApiRequest) -> bool {
    let has = |name| {
        let value = request.header(name);
        value.is_some_and(|value| value.contains(RECORD))
    };
    has(ACCEPT) || has(CONTENT_TYPE)
}
