//! The v1 API: parses a request into an [`Endpoint`], calls a verb of the service, and renders
//! the response.
//!
//! [`super::root`] calls it for every path of v1. Rules about images are in the service; the
//! formats of headers and bodies are in `wire`.

mod cached;
mod context;
pub(super) mod deleted_filter;
mod download;
mod endpoint;
mod fast_path;
mod images;
pub(super) mod list_query;
mod members;
mod style;

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use self::context::V1Context;
use self::endpoint::{Endpoint, route};
pub(super) use self::style::Style;
use super::body::refuse_partial;
use super::errors::{method_not_allowed, status_response};
use super::request::ApiRequest;
use super::response::ApiResponse;
use super::state::ApiState;
use crate::error::{Error, Kind, Result};
use crate::net::FastRequest;
use crate::service::Service;
use crate::wire::read_conditions;

/// The v1 API over a service.
pub(super) struct V1Api {
    state: Rc<ApiState>,
    service: Arc<Service>,
}

impl V1Api {
    pub(super) fn new(state: Rc<ApiState>, service: Arc<Service>) -> Self {
        Self { state, service }
    }

    /// Responds to a request whose path has these segments behind the version. The first of the
    /// pair is the route's name in metrics.
    pub(super) async fn handle(
        &self,
        request: ApiRequest,
        segments: &[&str],
        style: Style,
    ) -> (&'static str, Result<ApiResponse>) {
        let mut endpoint = route(request.method(), segments, style);
        if matches!(endpoint, Endpoint::Cache(_)) && !self.state.settings.manages_cache {
            endpoint = Endpoint::NotFound;
        }
        (
            endpoint.route(),
            self.dispatch(endpoint, style, request).await,
        )
    }

    /// Responds to HEAD of a cached image without waiting; see [`fast_path`].
    pub(super) fn handle_fast(
        &self,
        request: &FastRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Option<(&'static str, u16)> {
        fast_path::respond(&self.state.catalog, &self.state.authenticator, request, out)
    }

    async fn dispatch(
        &self,
        endpoint: Endpoint,
        style: Style,
        request: ApiRequest,
    ) -> Result<ApiResponse> {
        // Authentication precedes everything: a caller without a valid token learns neither
        // whether a path exists nor what is wrong with its request.
        let context = V1Context {
            service: &self.service,
            settings: &self.state.settings,
            caller: self.state.caller(&request).await?,
            style,
            base_url: self.state.base_url(&request),
        };
        refuse_partial(&request)?;
        if endpoint.changes_unvalidated() {
            check_unvalidated(request.headers())?;
        }
        match endpoint {
            Endpoint::Index => images::list(&context, &request, false).await,
            Endpoint::Detail => images::list(&context, &request, true).await,
            Endpoint::Create => images::create(&context, request).await,
            Endpoint::Download { id } => download::get(&context, &request, &id).await,
            Endpoint::Show { id } => download::head(&context, &request, &id).await,
            Endpoint::Update { id } => images::update(&context, request, &id).await,
            Endpoint::Delete { id } => images::delete(&context, &request, &id).await,
            Endpoint::Members { id } => members::list(&context, &id).await,
            Endpoint::ReplaceMembers { id } => members::replace(&context, request, &id).await,
            Endpoint::AddMember { id, member } => {
                members::add(&context, request, &id, &member).await
            }
            Endpoint::RemoveMember { id, member } => members::remove(&context, &id, &member).await,
            Endpoint::SharedImages { member } => members::shared_images(&context, &member).await,
            Endpoint::Cache(endpoint) => cached::respond(&context, &endpoint).await,
            Endpoint::NotFound => Ok(status_response(
                StatusCode::NOT_FOUND,
                "",
                request.error_format,
            )),
            Endpoint::NotImplemented => Ok(status_response(
                StatusCode::NOT_IMPLEMENTED,
                "",
                request.error_format,
            )),
            Endpoint::MethodNotAllowed(allowed) => {
                Ok(method_not_allowed(allowed, request.error_format))
            }
        }
    }
}

/// Refuses a change of a resource without validators if the request names a validator (RFC 9110,
/// 13.1.1): only the resource of an image has an entity tag.
fn check_unvalidated(headers: &HeaderMap) -> Result<()> {
    if read_conditions(headers).permits_unvalidated_change() {
        return Ok(());
    }
    let message = "The resource has no entity tag that If-Match could name.";
    Err(Error::new(Kind::PreconditionFailed, message))
}
