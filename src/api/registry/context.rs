//! What every handler of this door needs.

use std::sync::Arc;

use crate::api::body::small_body;
use crate::api::request::ApiRequest;
use crate::api::state::ApiSettings;
use crate::error::Result;
use crate::image::Caller;
use crate::service::RegistryService;

/// What a handler needs beside the request itself.
pub(super) struct Context<'a> {
    pub(super) service: &'a RegistryService,
    pub(super) settings: &'a ApiSettings,
    pub(super) caller: Arc<Caller>,
}

impl Context<'_> {
    /// The body of a request, whole.
    pub(super) async fn body(&self, request: &mut ApiRequest) -> Result<Vec<u8>> {
        small_body(request, self.settings.timeouts).await
    }
}
