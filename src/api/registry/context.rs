//! What every handler of this door needs.

use std::sync::Arc;

use crate::api::body::read_small;
use crate::api::door_state::DoorSettings;
use crate::api::exchange::Exchange;
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, ImageId};
use crate::service::Service;

/// What a handler needs beside the request itself.
pub(super) struct Context<'a> {
    pub(super) service: &'a Service,
    pub(super) settings: &'a DoorSettings,
    pub(super) caller: Arc<Caller>,
}

/// The body of a request, whole.
pub(super) async fn body(context: &Context<'_>, exchange: &mut Exchange) -> Result<Vec<u8>> {
    match exchange.body.take() {
        None => Ok(Vec::new()),
        Some(body) => read_small(body, context.settings.patience).await,
    }
}

/// The identifier in a path. What cannot be one is the identifier of no image.
pub(super) fn image_id(text: &str) -> Result<ImageId> {
    text.parse().map_err(|_| not_found(text))
}

/// There is no such image.
pub(super) fn not_found(id: &str) -> Error {
    let message = format!("Image with identifier {id} not found");
    Error::new(Kind::NotFound, message)
}
