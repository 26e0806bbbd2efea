//! Values that every handler of the registry API needs beside the request.

use std::sync::Arc;

use crate::api::body::small_body;
use crate::api::request::ApiRequest;
use crate::api::state::ApiSettings;
use crate::error::Result;
use crate::image::Caller;
use crate::service::RegistryService;

/// The context of one request.
pub(super) struct RegistryContext<'a> {
    pub(super) service: &'a RegistryService,
    pub(super) settings: &'a ApiSettings,
    pub(super) caller: Arc<Caller>,
}

impl RegistryContext<'_> {
    /// Reads the whole body of a request.
    pub(super) async fn body(&self, request: &mut ApiRequest) -> Result<Vec<u8>> {
        small_body(request, self.settings.timeouts).await
    }
}
