//! Whole records, for our own API servers.
//!
//! The entity tag of a record has its version and a digest of its content. The version alone
//! would not do: after the registry was restored from a backup, versions are counted again from
//! where the backup ends, and name other content than before.

use http::StatusCode;
use http::header::{ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::context::Context;
use super::endpoint::Endpoint;
use crate::api::answer::Answer;
use crate::api::errors::status_page;
use crate::api::exchange::Exchange;
use crate::api::path::image_id;
use crate::error::{Error, Kind, Result};
use crate::image::Query;
use crate::registry::{Census, Record, Version};
use crate::service::not_found;
use crate::wire::registry::{
    CensusMessage, MOST_RECORDS, RECORD, RecordMessage, VERSION, parse_owner, parse_query,
    write_record, write_records,
};

pub(super) async fn answer(
    context: &Context<'_>,
    endpoint: Endpoint,
    exchange: &mut Exchange,
) -> Result<Answer> {
    let (service, caller) = (context.service, &*context.caller);
    match endpoint {
        Endpoint::Show { id } => {
            let record = service.record(caller, &image_id(&id)?).await?;
            let record = record.ok_or_else(|| not_found(&id))?;
            if exchange.header(IF_NONE_MATCH) == Some(&etag(&record)) {
                return Ok(versioned(StatusCode::NOT_MODIFIED, &record, Vec::new()));
            }
            whole(&record)
        }
        Endpoint::Register => {
            let message = message(context, exchange).await?;
            whole(&*service.insert_record(caller, message.image).await?)
        }
        Endpoint::Amend { id } => {
            let message = message(context, exchange).await?;
            if message.image.id != image_id(&id)? || Some(message.version) != seen(exchange) {
                let text = "Path, version header and record do not fit.";
                return Err(Error::new(Kind::Invalid, text));
            }
            check_seen(context, exchange, &message).await?;
            let replaced = service.replace_record(caller, message.image, message.version);
            whole(&*replaced.await?)
        }
        Endpoint::Detail => list(context, exchange).await,
        Endpoint::Usage => {
            let owner = parse_owner(exchange.head.uri.query().unwrap_or_default())?;
            json(&service.usage_of(caller, owner.as_deref()).await?)
        }
        Endpoint::Census => json(&census(service.census(caller).await?)),
        _ => Ok(status_page(StatusCode::NOT_FOUND, "", exchange.form)),
    }
}

async fn message(context: &Context<'_>, exchange: &mut Exchange) -> Result<RecordMessage> {
    let body = context.body(exchange).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Error::new(Kind::Invalid, "The body is no record.").because(error))
}

/// The version that a writer has seen.
fn seen(exchange: &Exchange) -> Option<Version> {
    exchange.header(VERSION)?.parse().ok()
}

/// Refuses a write whose writer has seen another record with the same version, before the
/// registry was restored. That the version is still there is decided with the write itself.
async fn check_seen(
    context: &Context<'_>,
    exchange: &Exchange,
    message: &RecordMessage,
) -> Result<()> {
    let Some(tag) = exchange.header(IF_MATCH) else {
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

fn whole(record: &Record) -> Result<Answer> {
    let body = write_record(record.version, &record.image)?;
    Ok(versioned(StatusCode::OK, record, body))
}

fn versioned(status: StatusCode, record: &Record, body: Vec<u8>) -> Answer {
    let mut answer = Answer::of(status, HeaderValue::from_static(RECORD), body);
    let version = HeaderValue::from(record.version);
    answer.headers.insert(VERSION, version);
    answer.with(ETAG, &etag(record))
}

async fn list(context: &Context<'_>, exchange: &Exchange) -> Result<Answer> {
    let query = parse_query(exchange.head.uri.query().unwrap_or_default())?;
    let page = query.limit.min(MOST_RECORDS);
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
    Ok(Answer::of(
        StatusCode::OK,
        HeaderValue::from_static(RECORD),
        body,
    ))
}

fn census(census: Census) -> CensusMessage {
    let counts = census
        .by_status()
        .map(|(status, count)| (status.as_str().to_owned(), count));
    CensusMessage {
        usage: census.usage,
        counts: counts.collect(),
    }
}

fn json(value: &impl serde::Serialize) -> Result<Answer> {
    let body = serde_json::to_vec(value).map_err(Error::internal)?;
    Ok(Answer::of(
        StatusCode::OK,
        HeaderValue::from_static(RECORD),
        body,
    ))
}
