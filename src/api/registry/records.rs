//! Whole records, for API servers of this project.
//!
//! The entity tag of a record consists of its version and a digest of its content. The version
//! alone is not enough: after the registry is restored from a backup, the versions written since
//! the backup are assigned again, to other content.

use http::StatusCode;
use http::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::context::RegistryContext;
use crate::api::path::image_id;
use crate::api::request::ApiRequest;
use crate::api::response::ApiResponse;
use crate::error::{Error, Kind, Result};
use crate::image::{ImageId, Query};
use crate::registry::{Record, RegistryStats, Version};
use crate::service::not_found;
use crate::wire::registry::{
    CensusMessage, MAX_LIST_RECORDS, RECORD, RecordMessage, VERSION, parse_owner, parse_query,
    write_record, write_records,
};

pub(super) async fn show(
    context: &RegistryContext<'_>,
    id: &ImageId,
    request: &ApiRequest,
) -> Result<ApiResponse> {
    let record = context.service.record(&context.caller, id).await?;
    let record = record.ok_or_else(|| not_found(id))?;
    if request.header(IF_NONE_MATCH) == Some(&etag(&record)) {
        return Ok(versioned(StatusCode::NOT_MODIFIED, &record, Vec::new()));
    }
    whole(&record)
}

pub(super) async fn insert(
    context: &RegistryContext<'_>,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let image = message(context, request).await?.image;
    let inserted = context
        .service
        .insert_record(&context.caller, image)
        .await?;
    whole(&inserted)
}

pub(super) async fn replace(
    context: &RegistryContext<'_>,
    id: &str,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let message = message(context, request).await?;
    if message.image.id != image_id(id)? || Some(message.version) != seen(request) {
        let text = "The path, the version header and the record do not match.";
        return Err(Error::new(Kind::Invalid, text));
    }
    check_seen(context, request, &message).await?;
    let RecordMessage { image, version } = message;
    let replaced = context
        .service
        .replace_record(&context.caller, image, version);
    whole(&*replaced.await?)
}

pub(super) async fn usage(
    context: &RegistryContext<'_>,
    request: &ApiRequest,
) -> Result<ApiResponse> {
    let owner = parse_owner(request.head.uri.query().unwrap_or_default())?;
    let usage = context.service.usage_of(&context.caller, owner.as_deref());
    json(&usage.await?)
}

pub(super) async fn stats(context: &RegistryContext<'_>) -> Result<ApiResponse> {
    json(&stats_message(
        context.service.census(&context.caller).await?,
    ))
}

async fn message(context: &RegistryContext<'_>, request: &mut ApiRequest) -> Result<RecordMessage> {
    let body = context.body(request).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Error::new(Kind::Invalid, "The body is not a record.").because(error))
}

/// Returns the version that the writer has read.
pub(super) fn seen(request: &ApiRequest) -> Option<Version> {
    request.header(VERSION)?.parse().ok()
}

/// Refuses a write whose writer has read another record with the same version, before the registry
/// was restored. The write itself checks that the version is still current.
async fn check_seen(
    context: &RegistryContext<'_>,
    request: &ApiRequest,
    message: &RecordMessage,
) -> Result<()> {
    let Some(tag) = request.header(IF_MATCH) else {
        return Ok(());
    };
    let id = message.image.id;
    match context.service.record(&context.caller, &id).await? {
        Some(current) if current.version == message.version && tag != etag(&current) => {
            let text = format!("Image {id} has been replaced since it was read.");
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

pub(super) async fn list(
    context: &RegistryContext<'_>,
    request: &ApiRequest,
) -> Result<ApiResponse> {
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

/// Returns a value as JSON with the media type of records.
pub(super) fn json(value: &impl serde::Serialize) -> Result<ApiResponse> {
    ApiResponse::json_as(HeaderValue::from_static(RECORD), value)
}
