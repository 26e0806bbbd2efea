//! The registry API of `glance-registry`, in two protocols: Glance's own, for API servers of
//! Glance, and whole records and documents, for API servers of this project. The media type of the
//! request selects the protocol.

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

use self::context::RegistryContext;
use self::endpoint::{Endpoint, Resource, route};
use super::body::refuse_partial;
use super::errors::{method_not_allowed, status_response};
use super::path::image_id;
use super::request::ApiRequest;
use super::response::ApiResponse;
use super::server::Api;
use super::state::ApiState;
use crate::error::Result;
use crate::service::RegistryService;
use crate::wire::registry::RECORD;

/// The registry API over a service.
pub struct RegistryApi {
    state: ApiState,
    service: RegistryService,
}

/// The protocol of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// JSON images, as Glance's own registry.
    Legacy,
    /// Whole records and documents.
    Records,
}

impl Protocol {
    fn of(request: &ApiRequest) -> Self {
        let names_records = |header| {
            let value = request.header(header);
            value.is_some_and(|value| value.contains(RECORD))
        };
        match names_records(ACCEPT) || names_records(CONTENT_TYPE) {
            true => Protocol::Records,
            false => Protocol::Legacy,
        }
    }
}

impl RegistryApi {
    /// Creates the API.
    pub fn new(state: ApiState) -> Self {
        let service = RegistryService::new(Arc::clone(&state.catalog));
        Self { state, service }
    }

    async fn dispatch(&self, endpoint: Endpoint, request: ApiRequest) -> Result<ApiResponse> {
        match endpoint {
            Endpoint::Healthcheck => Ok(self.state.healthcheck().await),
            Endpoint::NotFound => Ok(not_found(&request)),
            Endpoint::MethodNotAllowed(allowed) => {
                Ok(method_not_allowed(allowed, request.error_format))
            }
            Endpoint::Resource(resource) => {
                let context = RegistryContext {
                    service: &self.service,
                    settings: &self.state.settings,
                    caller: self.state.caller(&request).await?,
                };
                refuse_partial(&request)?;
                match Protocol::of(&request) {
                    Protocol::Legacy => legacy(&context, resource, request).await,
                    Protocol::Records => whole_records(&context, resource, request).await,
                }
            }
        }
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

/// Responds in the protocol of Glance's registry.
async fn legacy(
    context: &RegistryContext<'_>,
    resource: Resource,
    mut request: ApiRequest,
) -> Result<ApiResponse> {
    match resource {
        Resource::Index => images::list(context, &request, false).await,
        Resource::Detail => images::list(context, &request, true).await,
        Resource::Create => images::create(context, &mut request).await,
        Resource::Show { id } => images::show(context, &image_id(&id)?).await,
        Resource::Update { id } => images::update(context, &image_id(&id)?, &mut request).await,
        Resource::Delete { id } => images::delete(context, &image_id(&id)?).await,
        Resource::Members { id } => members::list(context, &image_id(&id)?).await,
        Resource::ReplaceMembers { id } => members::replace(context, &id, &mut request).await,
        Resource::AddMember { id, member } => {
            members::add(context, &id, &member, &mut request).await
        }
        Resource::RemoveMember { id, member } => {
            members::remove(context, &image_id(&id)?, &member).await
        }
        Resource::SharedImages { member } => members::shared_images(context, &member).await,
        // Glance's registry has no such resources.
        Resource::Usage
        | Resource::Census
        | Resource::Documents
        | Resource::ShowDocument { .. }
        | Resource::PutDocument { .. }
        | Resource::DeleteDocument { .. } => Ok(not_found(&request)),
    }
}

/// Responds with whole records and documents.
async fn whole_records(
    context: &RegistryContext<'_>,
    resource: Resource,
    mut request: ApiRequest,
) -> Result<ApiResponse> {
    match resource {
        Resource::Detail => records::list(context, &request).await,
        Resource::Create => records::insert(context, &mut request).await,
        Resource::Show { id } => records::show(context, &image_id(&id)?, &request).await,
        Resource::Update { id } => records::replace(context, &id, &mut request).await,
        Resource::Usage => records::usage(context, &request).await,
        Resource::Census => records::stats(context).await,
        Resource::Documents => documents::list(context, &request).await,
        Resource::ShowDocument { kind, id } => documents::show(context, &kind, &id).await,
        Resource::PutDocument { kind, id } => {
            documents::put(context, &kind, &id, &mut request).await
        }
        Resource::DeleteDocument { kind, id } => {
            documents::delete(context, &kind, &id, &request).await
        }
        // A record contains its members, and API servers delete an image by changing its record.
        Resource::Index
        | Resource::Delete { .. }
        | Resource::Members { .. }
        | Resource::ReplaceMembers { .. }
        | Resource::AddMember { .. }
        | Resource::RemoveMember { .. }
        | Resource::SharedImages { .. } => Ok(not_found(&request)),
    }
}

fn not_found(request: &ApiRequest) -> ApiResponse {
    status_response(StatusCode::NOT_FOUND, "", request.error_format)
}
