//! GET of an image: its metadata, and its data or a part of them.

use http::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};

use super::context::{Context, image_id};
use super::images;
use crate::api::answer::{Answer, OCTETS};
use crate::api::errors::status_page;
use crate::api::exchange::Exchange;
use crate::error::Result;
use crate::image::{Image, Md5Digest};
use crate::metrics;
use crate::registry::Record;
use crate::wire::{Selection, select};

static CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

pub(super) async fn get(context: &Context<'_>, exchange: &Exchange, id: &str) -> Result<Answer> {
    let record = context
        .service
        .show(&context.caller, &image_id(id)?)
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
    if let Some(Ok(value)) = digest.map(|digest| HeaderValue::from_str(&base64(&digest))) {
        headers.insert(CONTENT_MD5.clone(), value);
    }
}

/// Base64 of sixteen bytes (RFC 4648, section 4).
fn base64(digest: &Md5Digest) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(24);
    for group in digest.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bits);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_other_tools_write_it() {
        // printf '' | openssl md5 -binary | base64
        let empty: Md5Digest = [
            0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8,
            0x42, 0x7e,
        ];
        assert_eq!(base64(&empty), "1B2M2Y8AsgTpgAmY7PhCfg==");
    }
}
