//! GET and HEAD of an image: its metadata, and its data or a part of them.

use std::time::SystemTime;

use http::StatusCode;
use http::header::{CONTENT_RANGE, ETAG};

use super::context::Context;
use super::images;
use crate::api::answer::Answer;
use crate::api::errors::status_page;
use crate::api::exchange::Exchange;
use crate::api::path::image_id;
use crate::error::{Kind, Result};
use crate::image::{Image, Validators, Verdict};
use crate::metrics;
use crate::registry::Record;
use crate::wire::{
    DataHeaders, Representation, Selection, add_no_data, read_conditions, representation, select,
};

pub(super) async fn get(context: &Context<'_>, exchange: &Exchange, id: &str) -> Result<Answer> {
    let record = context
        .service
        .show_to_download(&context.caller, &image_id(id)?)
        .await?;
    let image = &record.image;
    let size_bytes = context.service.downloadable_bytes(image)?;
    if let Some(answer) = decided_by_conditions(context, exchange, image) {
        return Ok(answer);
    }
    match select(exchange.headers(), Validators::of(image), size_bytes) {
        Selection::Whole => whole(context, exchange, &record, size_bytes).await,
        Selection::Part { offset, len } => {
            let (mut answer, _) = match data(context, exchange, &record, offset, len).await {
                // A server may ignore Range (RFC 9110, 14.2).
                Err(error) if error.kind() == Kind::WholeOnly => {
                    return whole(context, exchange, &record, size_bytes).await;
                }
                part => part?,
            };
            answer.status = StatusCode::PARTIAL_CONTENT;
            let last = offset + len - 1;
            let range = format!("bytes {offset}-{last}/{size_bytes}");
            Ok(answer.with(CONTENT_RANGE, &range))
        }
        Selection::Unsatisfiable => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let page = status_page(
                status,
                "The range begins behind the image's end.",
                exchange.form,
            );
            Ok(page.with(CONTENT_RANGE, &format!("bytes */{size_bytes}")))
        }
    }
}

/// The headers that a GET of the image has (RFC 9110, 9.3.2); a range is ignored (14.2). Of an
/// image without data, which a GET does not find, the metadata alone, as Glance shows them.
pub(super) async fn head(context: &Context<'_>, exchange: &Exchange, id: &str) -> Result<Answer> {
    let record = context
        .service
        .show(&context.caller, &image_id(id)?)
        .await?;
    let image = &record.image;
    let mut answer = Answer::empty(StatusCode::OK);
    match describe(context, image, &mut answer) {
        None => add_no_data(&mut answer.headers),
        Some(data) => {
            if let Some(answer) = decided_by_conditions(context, exchange, image) {
                return Ok(answer);
            }
            data.add_to(&mut answer.headers);
            data.add_md5_to(&mut answer.headers);
            data.add_length_to(&mut answer.headers);
        }
    }
    Ok(answer)
}

/// The response to a GET or HEAD of data that its conditions decide.
fn decided_by_conditions(
    context: &Context<'_>,
    exchange: &Exchange,
    image: &Image,
) -> Option<Answer> {
    match read_conditions(exchange.headers()).of_read(Validators::of(image)) {
        Verdict::Proceed => None,
        Verdict::NotModified => {
            let mut answer = Answer::empty(StatusCode::NOT_MODIFIED);
            if let Some(data) = describe(context, image, &mut answer) {
                data.add_last_modified_to(&mut answer.headers);
            }
            Some(answer)
        }
        Verdict::Failed => {
            let detail = "The image is not the one that the request's conditions name.";
            let status = StatusCode::PRECONDITION_FAILED;
            Some(status_page(status, detail, exchange.form))
        }
    }
}

async fn whole(
    context: &Context<'_>,
    exchange: &Exchange,
    record: &Record,
    size_bytes: u64,
) -> Result<Answer> {
    let (mut answer, described) = data(context, exchange, record, 0, size_bytes).await?;
    if let Some(described) = described {
        described.add_md5_to(&mut answer.headers);
    }
    Ok(answer)
}

async fn data(
    context: &Context<'_>,
    exchange: &Exchange,
    record: &Record,
    offset: u64,
    len: u64,
) -> Result<(Answer, Option<DataHeaders>)> {
    let mut answer = Answer::empty(StatusCode::OK);
    let download = context.service.download(record, offset, len).await?;
    metrics::first_byte(exchange.began.elapsed());
    answer.payload = download.payload;
    answer.transfer = download.transfer;
    let described = describe(context, &record.image, &mut answer);
    if let Some(data) = &described {
        data.add_to(&mut answer.headers);
    }
    Ok((answer, described))
}

/// Writes the metadata and the entity tag; the headers of the data, for images with data.
fn describe(context: &Context<'_>, image: &Image, answer: &mut Answer) -> Option<DataHeaders> {
    images::write_meta(context, image, answer);
    let Representation { etag, data } = representation(image, now_s());
    if let Some(etag) = etag {
        answer.headers.insert(ETAG, etag);
    }
    data
}

fn now_s() -> i64 {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
