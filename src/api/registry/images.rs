//! Images in the dialect of Glance's own registry.

use http::StatusCode;
use http::header::HeaderValue;

use super::context::Context;
use super::endpoint::Endpoint;
use super::members;
use crate::api::errors::status_response;
use crate::api::path::image_id;
use crate::api::request::ApiRequest;
use crate::api::response::{ApiResponse, JSON};
use crate::api::v1::deleted_filter::apply_deleted_filter;
use crate::api::v1::list_query;
use crate::error::Result;
use crate::registry::Record;
use crate::service::Purge;
use crate::wire::registry::{
    LegacyReader, VERSION, legacy_listing, parse_legacy_body, write_legacy_image,
};
use crate::wire::{is_true_word, listing};

/// Of PUT; where it is not said, properties that are not named stay.
const PURGE_PROPERTIES: &str = "x-glance-registry-purge-props";

pub(super) async fn respond(
    context: &Context<'_>,
    endpoint: Endpoint,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let (service, caller) = (context.service, &*context.caller);
    match endpoint {
        Endpoint::Index => list(context, request, false).await,
        Endpoint::Detail => list(context, request, true).await,
        Endpoint::Register => {
            let (fields, _) = parse_legacy_body(&context.body(request).await?)?;
            image(context, &*service.create(caller, fields).await?)
        }
        Endpoint::Show { id } => image(
            context,
            &*service.catalog().show(caller, &image_id(&id)?).await?,
        ),
        Endpoint::Amend { id } => {
            let id = image_id(&id)?;
            let (fields, from_state) = parse_legacy_body(&context.body(request).await?)?;
            let purge = match request.header(PURGE_PROPERTIES) {
                Some(word) if is_true_word(word) => Purge::Unnamed,
                _ => Purge::Nothing,
            };
            let amended = service.update(caller, &id, &fields, purge, from_state.as_deref());
            image(context, &*amended.await?)
        }
        Endpoint::TakeOff { id } => {
            let id = image_id(&id)?;
            image(context, &*service.delete(caller, &id).await?)
        }
        Endpoint::Usage
        | Endpoint::Census
        | Endpoint::Documents
        | Endpoint::ShowDocument { .. }
        | Endpoint::PutDocument { .. }
        | Endpoint::DeleteDocument { .. } => Ok(status_response(
            StatusCode::NOT_FOUND,
            "",
            request.error_format,
        )),
        _ => members::respond(context, endpoint, request).await,
    }
}

/// API servers ask as administrators.
fn reader(context: &Context<'_>) -> LegacyReader {
    match context.caller.is_admin {
        true => LegacyReader::ApiServer,
        false => LegacyReader::User,
    }
}

fn image(context: &Context<'_>, record: &Record) -> Result<ApiResponse> {
    let body = write_legacy_image(&record.image, reader(context))?;
    let mut response = ApiResponse::of(StatusCode::OK, JSON, body);
    let version = HeaderValue::from(record.version);
    response.headers.insert(VERSION, version);
    Ok(response)
}

async fn list(context: &Context<'_>, request: &ApiRequest, detailed: bool) -> Result<ApiResponse> {
    let query = request.head.uri.query().unwrap_or_default();
    let mut list = list_query::parse(query)?;
    if context.caller.is_admin {
        apply_deleted_filter(query, &mut list)?;
    }
    let page = context
        .service
        .catalog()
        .list(&context.caller, list)
        .await?;
    Ok(match detailed {
        true => ApiResponse::rendered(StatusCode::OK, JSON, legacy_listing(page, reader(context))),
        false => ApiResponse::rendered(StatusCode::OK, JSON, listing(page, false, None)),
    })
}
