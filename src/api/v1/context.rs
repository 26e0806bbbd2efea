//! Values that every handler of the v1 API needs beside the request: the service, the caller,
//! and the form of responses.

use std::sync::Arc;

use super::style::Style;
use crate::api::body::small_body;
use crate::api::request::ApiRequest;
use crate::api::state::ApiSettings;
use crate::error::Result;
use crate::image::Caller;
use crate::service::Service;

/// The context of one v1 request.
pub(super) struct V1Context<'a> {
    pub(super) service: &'a Arc<Service>,
    pub(super) settings: &'a ApiSettings,
    pub(super) caller: Arc<Caller>,
    pub(super) style: Style,
    /// Scheme and authority of URLs in responses.
    pub(super) base_url: String,
}

impl V1Context<'_> {
    /// Reads the whole body of a request.
    pub(super) async fn body(&self, request: &mut ApiRequest) -> Result<Vec<u8>> {
        small_body(request, self.settings.timeouts).await
    }

    /// Returns the prefix of an image's `uri` field; `None` for responses without that field.
    pub(super) fn uri_base(&self) -> Option<String> {
        match self.style {
            Style::Versioned => None,
            Style::Unversioned => Some(self.images_base()),
        }
    }

    /// Returns the prefix of an image's URL, up to its identifier.
    pub(super) fn images_base(&self) -> String {
        let version = match self.style {
            Style::Versioned => "/v1",
            Style::Unversioned => "",
        };
        format!("{}{version}/images/", self.base_url)
    }
}
