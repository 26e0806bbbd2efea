//! Whole records, for our own API servers.
//!
//! The entity tag of a record has its version and a digest of its content. The version alone
//! would not do: after the registry was restored from a backup, versions are counted again from
//! where the backup ends, and name other content than before.

use http::StatusCode;
use http::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::context::Context;
use super::documents;
use super::endpoint::Endpoint;
use crate::api::errors::status_response;
use crate::api::path::image_id;
use crate::api::request::ApiRequest;
use crate::api::response::ApiResponse;
use crate::error::{Error, Kind, Result};
use crate::image::Query;
use crate::registry::{Record, RegistryStats, Version};
use crate::service::not_found;
use crate::wire::registry::{
    CensusMessage, MAX_LIST_RECORDS, RECORD, RecordMessage, VERSION, parse_owner, parse_query,
    write_record, write_records,
};

pub(super) async fn respond(
    context: &Context<'_>,
    endpoint: Endpoint,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let (service, caller) = (context.service, &*context.caller);
    match endpoint {
        Endpoint::Show { id } => {
            let record = service.record(caller, &image_id(&id)?).await?;
            let record = record.ok_or_else(|| not_found(&id))?;
            if request.header(IF_NONE_MATCH) == Some(&etag(&record)) {
                return Ok(versioned(StatusCode::NOT_MODIFIED, &record, Vec::new()));
            }
            whole(&record)
        }
        Endpoint::Register => {
            let message = message(context, request).await?;
            whole(&*service.insert_record(caller, message.image).await?)
        }
        Endpoint::Amend { id } => {
            let message = message(context, request).await?;
            if message.image.id != image_id(&id)? || Some(message.version) != seen(request) {
                let text = "Path, version header and record do not fit.";
                return Err(Error::new(Kind::Invalid, text));
            }
            check_seen(context, request, &message).await?;
            let replaced = service.replace_record(caller, message.image, message.version);
            whole(&*replaced.await?)
        }
        Endpoint::Detail => list(context, request).await,
        Endpoint::Usage => {
            let owner = parse_owner(request.head.uri.query().unwrap_or_default())?;
            json(&service.usage_of(caller, owner.as_deref()).await?)
        }
        Endpoint::Documents => documents::list(context, request).await,
        Endpoint::ShowDocument { kind, id } => documents::show(context, &kind, &id).await,
        Endpoint::PutDocument { kind, id } => documents::put(context, &kind, &id, request).await,
        Endpoint::DeleteDocument { kind, id } => {
            documents::delete(context, &kind, &id, request).await
        }
        Endpoint::Census => json(&stats_message(service.census(caller).await?)),
        _ => Ok(status_response(
            StatusCode::NOT_FOUND,
            "",
            request.error_format,
        )),
    }
}

async fn message(context: &Context<'_>, request: &mut ApiRequest) -> Result<RecordMessage> {
    let body = context.body(request).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Error::new(Kind::Invalid, "The body is no record.").because(error))
}

/// The version that a writer has seen.
pub(super) fn seen(request: &ApiRequest) -> Option<Version> {
    request.header(VERSION)?.parse().ok()
}

/// Refuses a write whose writer has seen another record with the same version, before the
/// registry was restored. That the version is still there is decided with the write itself.
async fn check_seen(
    context: &Context<'_>,
    request: &ApiRequest,
    message: &RecordMessage,
) -> Result<()> {
    let Some(tag) = request.header(IF_MATCH) else {
        return Ok(());
    };
    let id = message.image.id;
    match context.service.record(&context.caller, &id).await? {
        Some(current) if current.version == message.version && tag != etag(&current) => {
            let text = format!("Image {id} is not the one that was seen.");
            Err(Error::new(Kind::Conflict, text))
        }
        _ => Ok(()),
    }
}

fn etag(record: &Record) -> String {
    format!("\"{}-{:016x}\"", record.version, record.digest())
}

fn whole(record: &Record) -> Result<ApiResponse> {
    let body = write_record(record.version, &record.image)?;
    Ok(versioned(StatusCode::OK, record, body))
}

fn versioned(status: StatusCode, record: &Record, body: Vec<u8>) -> ApiResponse {
    let mut response = ApiResponse::of(status, HeaderValue::from_static(RECORD), body);
    let version = HeaderValue::from(record.version);
    response.headers.insert(VERSION, version);
    response.with(ETAG, &etag(record))
}

async fn list(context: &Context<'_>, request: &ApiRequest) -> Result<ApiResponse> {
    let query = parse_query(request.head.uri.query().unwrap_or_default())?;
    let page = query.limit.min(MAX_LIST_RECORDS);
    let is_cut = page < query.limit;
    let query = Query {
        limit: page,
        ..query
    };
    let records = context.service.records(&context.caller, &query).await?;
    let more = is_cut && records.len() == page;
    let body = write_records(
        records.iter().map(|record| (record.version, &record.image)),
        more,
    )?;
    Ok(ApiResponse::of(
        StatusCode::OK,
        HeaderValue::from_static(RECORD),
        body,
    ))
}

fn stats_message(stats: RegistryStats) -> CensusMessage {
    let counts = stats
        .by_status()
        .map(|(status, count)| (status.as_str().to_owned(), count));
    CensusMessage {
        usage: stats.usage,
        counts: counts.collect(),
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<ApiResponse> {
    let body = serde_json::to_vec(value).map_err(Error::internal)?;
    Ok(ApiResponse::of(
        StatusCode::OK,
        HeaderValue::from_static(RECORD),
        body,
    ))
}
