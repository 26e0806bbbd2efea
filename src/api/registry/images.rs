//! Images in the legacy registry protocol, which API servers of Glance use.

use http::StatusCode;
use http::header::HeaderValue;

use super::context::RegistryContext;
use crate::api::request::ApiRequest;
use crate::api::response::{ApiResponse, JSON};
use crate::api::v1::deleted_filter::apply_deleted_filter;
use crate::api::v1::list_query;
use crate::error::Result;
use crate::image::ImageId;
use crate::registry::Record;
use crate::service::Purge;
use crate::wire::registry::{
    LegacyReader, VERSION, legacy_listing, parse_legacy_body, write_legacy_image,
};
use crate::wire::{is_true_word, listing};

/// A header of PUT. Without it, properties that the body does not name are kept.
const PURGE_PROPERTIES: &str = "x-glance-registry-purge-props";

pub(super) async fn create(
    context: &RegistryContext<'_>,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let (fields, _) = parse_legacy_body(&context.body(request).await?)?;
    let created = context.service.create(&context.caller, fields).await?;
    image(context, &created)
}

pub(super) async fn show(context: &RegistryContext<'_>, id: &ImageId) -> Result<ApiResponse> {
    let catalog = context.service.catalog();
    image(context, &*catalog.show(&context.caller, id).await?)
}

pub(super) async fn update(
    context: &RegistryContext<'_>,
    id: &ImageId,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let (fields, from_state) = parse_legacy_body(&context.body(request).await?)?;
    let purge = match request.header(PURGE_PROPERTIES) {
        Some(word) if is_true_word(word) => Purge::Unnamed,
        _ => Purge::Nothing,
    };
    let (service, from_state) = (context.service, from_state.as_deref());
    let updated = service.update(&context.caller, id, &fields, purge, from_state);
    image(context, &*updated.await?)
}

pub(super) async fn delete(context: &RegistryContext<'_>, id: &ImageId) -> Result<ApiResponse> {
    let deleted = context.service.delete(&context.caller, id).await?;
    image(context, &deleted)
}

pub(super) async fn list(
    context: &RegistryContext<'_>,
    request: &ApiRequest,
    detailed: bool,
) -> Result<ApiResponse> {
    let query = request.head.uri.query().unwrap_or_default();
    let mut list = list_query::parse(query)?;
    if context.caller.is_admin {
        apply_deleted_filter(query, &mut list)?;
    }
    let catalog = context.service.catalog();
    let page = catalog.list(&context.caller, list).await?;
    Ok(match detailed {
        true => ApiResponse::rendered(StatusCode::OK, JSON, legacy_listing(page, reader(context))),
        false => ApiResponse::rendered(StatusCode::OK, JSON, listing(page, false, None)),
    })
}

/// Returns the reader of responses. API servers authenticate as administrators.
fn reader(context: &RegistryContext<'_>) -> LegacyReader {
    match context.caller.is_admin {
        true => LegacyReader::ApiServer,
        false => LegacyReader::User,
    }
}

fn image(context: &RegistryContext<'_>, record: &Record) -> Result<ApiResponse> {
    let body = write_legacy_image(&record.image, reader(context))?;
    let mut response = ApiResponse::of(StatusCode::OK, JSON, body);
    let version = HeaderValue::from(record.version);
    response.headers.insert(VERSION, version);
    Ok(response)
}
