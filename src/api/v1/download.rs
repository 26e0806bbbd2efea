//! GET of an image: its metadata, and its data or a part of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};

use super::context::Context;
use super::images;
use crate::api::answer::{Answer, OCTETS};
use crate::api::errors::status_page;
use crate::api::exchange::Exchange;
use crate::api::path::image_id;
use crate::error::Result;
use crate::image::Image;
use crate::metrics;
use crate::registry::Record;
use crate::wire::{Selection, select};

static CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

pub(super) async fn get(context: &Context<'_>, exchange: &Exchange, id: &str) -> Result<Answer> {
    let record = context
        .service
        .show_to_download(&context.caller, &image_id(id)?)
        .await?;
    let image = &record.image;
    let size_bytes = context.service.downloadable_bytes(image)?;
    let etag = image.checksum.as_ref().map(|sum| sum.as_str());
    match select(exchange.headers(), etag, size_bytes) {
        Selection::Whole => {
            let mut answer = data(context, exchange, &record, 0, size_bytes).await?;
            add_content_md5(image, &mut answer.headers);
            Ok(answer)
        }
        Selection::Part { offset, len } => {
            let mut answer = data(context, exchange, &record, offset, len).await?;
            answer.status = StatusCode::PARTIAL_CONTENT;
            let last = offset + len - 1;
            let range = format!("bytes {offset}-{last}/{size_bytes}");
            Ok(answer.with(CONTENT_RANGE, &range))
        }
        Selection::NotModified => {
            let mut answer = Answer::empty(StatusCode::NOT_MODIFIED);
            images::write_meta(context, image, &mut answer);
            Ok(answer)
        }
        Selection::PreconditionFailed => {
            let detail = "The image is not the one that If-Match names.";
            let status = StatusCode::PRECONDITION_FAILED;
            Ok(status_page(status, detail, exchange.form))
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

async fn data(
    context: &Context<'_>,
    exchange: &Exchange,
    record: &Record,
    offset: u64,
    len: u64,
) -> Result<Answer> {
    let mut answer = Answer::empty(StatusCode::OK);
    let download = context.service.download(record, offset, len).await?;
    metrics::first_byte(exchange.began.elapsed());
    answer.payload = download.payload;
    answer.transfer = download.transfer;
    images::write_meta(context, &record.image, &mut answer);
    answer.headers.insert(CONTENT_TYPE, OCTETS);
    answer
        .headers
        .insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(answer)
}

/// The MD5 of the whole body, as RFC 1864 writes it.
fn add_content_md5(image: &Image, headers: &mut HeaderMap) {
    let data = image.data.as_ref().and_then(|data| data.checksum.as_ref());
    let digest = data.and_then(|checksum| checksum.digest());
    if let Some(Ok(value)) = digest.map(|digest| HeaderValue::from_str(&BASE64.encode(digest))) {
        headers.insert(CONTENT_MD5.clone(), value);
    }
}
