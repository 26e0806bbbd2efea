//! The door of the v1 API.

mod cached;
mod context;
mod download;
mod endpoint;
mod images;
mod members;
mod plain;
mod versions;

use std::rc::Rc;
use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};

use self::context::{Context, asked_host};
use self::endpoint::{Accepted, Endpoint, Style, route};
use super::answer::Answer;
use super::body::refuse_partial;
use super::door_state::DoorState;
use super::errors::{method_not_allowed, status_page};
use super::exchange::Exchange;
use super::frame::Door;
use crate::error::{Error, Kind, Result};
use crate::image::Caller;
use crate::net::FastRequest;
use crate::wire::read_conditions;

/// The v1 API over the service.
pub struct V1Door {
    state: DoorState,
}

impl V1Door {
    /// The door to a service, for whom the authenticator lets in.
    pub fn new(state: DoorState) -> Self {
        Self { state }
    }

    async fn dispatch(
        &self,
        endpoint: Endpoint,
        style: Style,
        exchange: Exchange,
    ) -> Result<Answer> {
        let context = Context {
            service: &self.state.service,
            settings: &self.state.settings,
            caller: self.caller(&endpoint, &exchange).await?,
            style,
            host: asked_host(&exchange),
        };
        refuse_partial(&exchange)?;
        if endpoint.changes_unvalidated() {
            check_unvalidated(exchange.headers())?;
        }
        match endpoint {
            Endpoint::Versions { choice } => Ok(versions::answer(choice, &context.base())),
            Endpoint::RedirectToV1 => {
                let page = status_page(StatusCode::FOUND, "", exchange.form);
                Ok(page.with(LOCATION, &format!("{}/v1/", context.base())))
            }
            Endpoint::Healthcheck => Ok(self.state.healthcheck().await),
            Endpoint::Options => Ok(Answer::empty(StatusCode::OK)),
            Endpoint::Index => images::list(&context, &exchange, false).await,
            Endpoint::Detail => images::list(&context, &exchange, true).await,
            Endpoint::Create => images::create(&context, exchange).await,
            Endpoint::Download { id } => download::get(&context, &exchange, &id).await,
            Endpoint::Show { id } => download::head(&context, &exchange, &id).await,
            Endpoint::Update { id } => images::update(&context, exchange, &id).await,
            Endpoint::Delete { id } => images::delete(&context, &exchange, &id).await,
            Endpoint::Members { id } => members::list(&context, &id).await,
            Endpoint::ReplaceMembers { id } => members::replace(&context, exchange, &id).await,
            Endpoint::AddMember { id, member } => {
                members::add(&context, exchange, &id, &member).await
            }
            Endpoint::RemoveMember { id, member } => members::remove(&context, &id, &member).await,
            Endpoint::SharedImages { member } => members::shared_images(&context, &member).await,
            Endpoint::Cache(endpoint) => cached::answer(&context, &endpoint).await,
            Endpoint::NotFound => Ok(status_page(StatusCode::NOT_FOUND, "", exchange.form)),
            Endpoint::NotImplemented => {
                Ok(status_page(StatusCode::NOT_IMPLEMENTED, "", exchange.form))
            }
            Endpoint::MethodNotAllowed(allowed) => Ok(method_not_allowed(allowed, exchange.form)),
        }
    }

    /// Who is asking. What says nothing of images is for everybody.
    async fn caller(&self, endpoint: &Endpoint, exchange: &Exchange) -> Result<Arc<Caller>> {
        if endpoint.is_for_everybody() {
            return Ok(Arc::new(Caller::anonymous()));
        }
        self.state.caller(exchange).await
    }
}

impl Door for V1Door {
    fn answer_plain(
        &self,
        request: &FastRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Option<(&'static str, u16)> {
        plain::answer(&self.state.service, &self.state.authenticator, request, out)
    }

    fn challenge(&self) -> Option<&str> {
        self.state.authenticator.challenge()
    }

    fn identity_headers(&self) -> &'static str {
        self.state.authenticator.identity_headers()
    }

    async fn answer(self: Rc<Self>, exchange: Exchange) -> (&'static str, Result<Answer>) {
        let accepted = Accepted::parse(exchange.header(http::header::ACCEPT));
        let (mut endpoint, style) = route(exchange.method(), exchange.head.uri.path(), accepted);
        if matches!(endpoint, Endpoint::Cache(_)) && !self.state.settings.manages_cache {
            endpoint = Endpoint::NotFound;
        }
        (
            endpoint.route(),
            self.dispatch(endpoint, style, exchange).await,
        )
    }
}

/// Refuses a change of a resource that has no validators where the request names one
/// (RFC 9110, 13.1.1): only the resource of an image has an entity tag.
fn check_unvalidated(headers: &HeaderMap) -> Result<()> {
    if read_conditions(headers).permit_unvalidated_change() {
        return Ok(());
    }
    let message = "The resource has no entity tag that If-Match could name.";
    Err(Error::new(Kind::PreconditionFailed, message))
}
