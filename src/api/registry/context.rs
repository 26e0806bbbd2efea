//! What every handler of this door needs.

use std::sync::Arc;

use crate::api::body::small_body;
use crate::api::door_state::DoorSettings;
use crate::api::exchange::Exchange;
use crate::error::Result;
use crate::image::Caller;
use crate::service::Service;

/// What a handler needs beside the request itself.
pub(super) struct Context<'a> {
    pub(super) service: &'a Service,
    pub(super) settings: &'a DoorSettings,
    pub(super) caller: Arc<Caller>,
}

impl Context<'_> {
    /// The body of a request, whole.
    pub(super) async fn body(&self, exchange: &mut Exchange) -> Result<Vec<u8>> {
        small_body(exchange, self.settings.patience).await
    }
}
