//! What every handler of this door needs: who asks, of whom, and how the answer looks.

use std::net::SocketAddr;
use std::sync::Arc;

use super::endpoint::Style;
use crate::api::body::small_body;
use crate::api::request::ApiRequest;
use crate::api::state::ApiSettings;
use crate::error::Result;
use crate::image::Caller;
use crate::service::Service;

/// What a verb's handler needs beside the request itself.
pub(super) struct Context<'a> {
    pub(super) service: &'a Arc<Service>,
    pub(super) settings: &'a ApiSettings,
    pub(super) caller: Arc<Caller>,
    pub(super) style: Style,
    /// The host that the client asked, or the address that it reached us by.
    pub(super) host: String,
}

impl Context<'_> {
    /// The body of a request, whole.
    pub(super) async fn body(&self, request: &mut ApiRequest) -> Result<Vec<u8>> {
        small_body(request, self.settings.timeouts).await
    }

    /// Scheme and authority of URLs in answers: as configured, or as the client asked.
    pub(super) fn base(&self) -> String {
        match &self.settings.public_endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.host),
        }
    }

    /// What comes before an image's identifier in its `uri`, for answers that have one.
    pub(super) fn uri_base(&self) -> Option<String> {
        match self.style {
            Style::Versioned => None,
            Style::Unversioned => Some(self.images_base()),
        }
    }

    /// What comes before an image's identifier in its address.
    pub(super) fn images_base(&self) -> String {
        let version = match self.style {
            Style::Versioned => "/v1",
            Style::Unversioned => "",
        };
        format!("{}{version}/images/", self.base())
    }
}

/// The host of URLs in responses: the one that the client asked. A client of HTTP/1.0 may name
/// none; then it is the address by which the client has reached this server.
pub(super) fn asked_host(request: &ApiRequest) -> String {
    if let Some(authority) = request.authority() {
        return authority.to_string();
    }
    let local = request.connection.local();
    let address = local.map(|local| SocketAddr::new(local.ip().to_canonical(), local.port()));
    // Without a connection the response reaches nobody.
    address.map_or_else(|| "localhost".to_owned(), |address| address.to_string())
}
