//! The door of the v1 API.

mod download;
mod endpoint;
mod images;
mod list_query;
mod members;
mod plain;
mod versions;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use http::header::{HOST, LOCATION};

use self::endpoint::{Accepted, Endpoint, Style, route};
use super::answer::Answer;
use super::body::Patience;
use super::errors::{method_not_allowed, status_page};
use super::exchange::Exchange;
use super::frame::Door;
use super::health::{NodeHealth, health_answer};
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, ImageId};
use crate::net::PlainRequest;
use crate::service::Service;

/// What an operator says about this door.
#[derive(Debug, Clone)]
pub struct V1Settings {
    /// What senders may take their time for.
    pub patience: Patience,
    /// Start of the URLs in answers; without it, what the client asked for.
    pub public_endpoint: Option<String>,
    /// While this file is there, `/healthcheck` says that the node is out of service.
    pub disable_by_file: Option<PathBuf>,
}

/// The v1 API over the service.
pub struct V1Door {
    service: Arc<Service>,
    settings: V1Settings,
    health: Arc<NodeHealth>,
}

/// What a verb's handler needs beside the request itself.
struct Context<'a> {
    service: &'a Arc<Service>,
    settings: &'a V1Settings,
    caller: Caller,
    style: Style,
    /// The Host that the client asked, where it can stand in a URL.
    host: String,
}

impl Context<'_> {
    /// Scheme and authority of URLs in answers: as configured, or as the client asked.
    fn base(&self) -> String {
        match &self.settings.public_endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.host),
        }
    }

    /// What comes before an image's identifier in its `uri`, for answers that have one.
    fn uri_base(&self) -> Option<String> {
        match self.style {
            Style::Versioned => None,
            Style::Unversioned => Some(self.images_base()),
        }
    }

    /// What comes before an image's identifier in its address.
    fn images_base(&self) -> String {
        let version = match self.style {
            Style::Versioned => "/v1",
            Style::Unversioned => "",
        };
        format!("{}{version}/images/", self.base())
    }
}

/// The identifier in a path. What cannot be one is the identifier of no image.
fn image_id(text: &str) -> Result<ImageId> {
    text.parse().map_err(|_| {
        let message = format!("Image with identifier {text} not found");
        Error::new(Kind::NotFound, message)
    })
}

/// The Host of a request, if it has nothing that cannot stand in a URL.
fn asked_host(exchange: &Exchange) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let host = exchange.header(HOST).unwrap_or_default();
    if host.bytes().all(plain) { host } else { "" }
}

impl V1Door {
    /// The door to a service.
    pub fn new(service: Arc<Service>, settings: V1Settings, health: Arc<NodeHealth>) -> Self {
        Self {
            service,
            settings,
            health,
        }
    }

    async fn dispatch(
        &self,
        endpoint: Endpoint,
        style: Style,
        exchange: Exchange,
    ) -> Result<Answer> {
        let context = Context {
            service: &self.service,
            settings: &self.settings,
            caller: Caller::administrator(),
            style,
            host: asked_host(&exchange).to_owned(),
        };
        match endpoint {
            Endpoint::Versions { choice } => Ok(versions::answer(choice, &context.base())),
            Endpoint::RedirectToV1 => {
                let page = status_page(StatusCode::FOUND, "", exchange.form);
                Ok(page.with(LOCATION, &format!("{}/v1/", context.base())))
            }
            Endpoint::Healthcheck => Ok(self.healthcheck().await),
            Endpoint::Options => Ok(Answer::empty(StatusCode::OK)),
            Endpoint::Index => images::list(&context, &exchange, false).await,
            Endpoint::Detail => images::list(&context, &exchange, true).await,
            Endpoint::Create => images::create(&context, exchange).await,
            Endpoint::Download { id } => download::get(&context, &exchange, &id).await,
            Endpoint::Show { id } => images::show(&context, &id).await,
            Endpoint::Update { id } => images::update(&context, exchange, &id).await,
            Endpoint::Delete { id } => images::delete(&context, &id).await,
            Endpoint::Members { id } => members::list(&context, &id).await,
            Endpoint::ReplaceMembers { id } => members::replace(&context, exchange, &id).await,
            Endpoint::AddMember { id, member } => {
                members::add(&context, exchange, &id, &member).await
            }
            Endpoint::RemoveMember { id, member } => members::remove(&context, &id, &member).await,
            Endpoint::SharedImages { member } => members::shared_images(&context, &member).await,
            Endpoint::NotFound => Ok(status_page(StatusCode::NOT_FOUND, "", exchange.form)),
            Endpoint::NotImplemented => {
                Ok(status_page(StatusCode::NOT_IMPLEMENTED, "", exchange.form))
            }
            Endpoint::MethodNotAllowed(allowed) => Ok(method_not_allowed(allowed, exchange.form)),
        }
    }

    async fn healthcheck(&self) -> Answer {
        let disable_by_file = self.settings.disable_by_file.as_deref();
        health_answer(self.health.problem(&self.service, disable_by_file).await)
    }
}

impl Door for V1Door {
    fn answer_plain(
        &self,
        request: &PlainRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Option<(&'static str, u16)> {
        plain::answer(&self.service, &Caller::administrator(), request, out)
    }

    async fn answer(self: Rc<Self>, exchange: Exchange) -> (&'static str, Result<Answer>) {
        let accepted = Accepted::parse(exchange.header(http::header::ACCEPT));
        let (endpoint, style) = route(exchange.method(), exchange.head.uri.path(), accepted);
        (
            endpoint.route(),
            self.dispatch(endpoint, style, exchange).await,
        )
    }
}
