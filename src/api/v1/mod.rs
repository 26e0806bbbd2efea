//! The door of the v1 API.

mod cached;
mod context;
mod download;
mod endpoint;
mod fast_path;
mod images;
mod members;
mod versions;

use std::rc::Rc;
use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};

use self::context::{Context, asked_host};
use self::endpoint::{Accepted, Endpoint, Style, route};
use super::body::refuse_partial;
use super::errors::{method_not_allowed, status_response};
use super::request::ApiRequest;
use super::response::ApiResponse;
use super::server::Api;
use super::state::ApiState;
use crate::error::{Error, Kind, Result};
use crate::image::Caller;
use crate::net::FastRequest;
use crate::wire::read_conditions;

/// The v1 API over the service.
pub struct V1Api {
    state: ApiState,
}

impl V1Api {
    /// The door to a service, for whom the authenticator lets in.
    pub fn new(state: ApiState) -> Self {
        Self { state }
    }

    async fn dispatch(
        &self,
        endpoint: Endpoint,
        style: Style,
        request: ApiRequest,
    ) -> Result<ApiResponse> {
        let context = Context {
            service: &self.state.service,
            settings: &self.state.settings,
            caller: self.caller(&endpoint, &request).await?,
            style,
            host: asked_host(&request),
        };
        refuse_partial(&request)?;
        if endpoint.changes_unvalidated() {
            check_unvalidated(request.headers())?;
        }
        match endpoint {
            Endpoint::Versions { choice } => Ok(versions::respond(choice, &context.base())),
            Endpoint::RedirectToV1 => {
                let page = status_response(StatusCode::FOUND, "", request.error_format);
                Ok(page.with(LOCATION, &format!("{}/v1/", context.base())))
            }
            Endpoint::Healthcheck => Ok(self.state.healthcheck().await),
            Endpoint::Options => Ok(ApiResponse::empty(StatusCode::OK)),
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

    /// Who is asking. What says nothing of images is for everybody.
    async fn caller(&self, endpoint: &Endpoint, request: &ApiRequest) -> Result<Arc<Caller>> {
        if endpoint.is_for_everybody() {
            return Ok(Arc::new(Caller::anonymous()));
        }
        self.state.caller(request).await
    }
}

impl Api for V1Api {
    fn handle_fast(
        &self,
        request: &FastRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Option<(&'static str, u16)> {
        fast_path::respond(&self.state.service, &self.state.authenticator, request, out)
    }

    fn challenge(&self) -> Option<&str> {
        self.state.authenticator.challenge()
    }

    fn identity_headers(&self) -> &'static str {
        self.state.authenticator.identity_headers()
    }

    async fn handle(self: Rc<Self>, request: ApiRequest) -> (&'static str, Result<ApiResponse>) {
        let accepted = Accepted::parse(request.header(http::header::ACCEPT));
        let (mut endpoint, style) = route(request.method(), request.head.uri.path(), accepted);
        if matches!(endpoint, Endpoint::Cache(_)) && !self.state.settings.manages_cache {
            endpoint = Endpoint::NotFound;
        }
        (
            endpoint.route(),
            self.dispatch(endpoint, style, request).await,
        )
    }
}

/// Refuses a change of a resource that has no validators where the request names one
/// (RFC 9110, 13.1.1): only the resource of an image has an entity tag.
fn check_unvalidated(headers: &HeaderMap) -> Result<()> {
    if read_conditions(headers).permits_unvalidated_change() {
        return Ok(());
    }
    let message = "The resource has no entity tag that If-Match could name.";
    Err(Error::new(Kind::PreconditionFailed, message))
}
