//! GET and HEAD of an image: its metadata in headers, and its data or a range of them.

use http::StatusCode;
use http::header::{CONTENT_RANGE, ETAG};

use super::context::V1Context;
use super::images;
use crate::api::errors::status_response;
use crate::api::path::image_id;
use crate::api::request::ApiRequest;
use crate::api::response::ApiResponse;
use crate::error::{Kind, Result};
use crate::image::{ConditionResult, Image, Validators};
use crate::metrics;
use crate::registry::Record;
use crate::wire::{
    DataHeaders, Representation, Selection, add_no_data, read_conditions, representation, select,
};

pub(super) async fn get(
    context: &V1Context<'_>,
    request: &ApiRequest,
    id: &str,
) -> Result<ApiResponse> {
    let record = context
        .service
        .catalog()
        .show_to_download(&context.caller, &image_id(id)?)
        .await?;
    let image = &record.image;
    let size_bytes = context.service.downloadable_bytes(image)?;
    if let Some(response) = decided_by_conditions(context, request, image) {
        return Ok(response);
    }
    match select(request.headers(), Validators::of(image), size_bytes) {
        Selection::Whole => whole(context, request, &record, size_bytes).await,
        Selection::Part { offset, len } => {
            let (mut response, _) = match data(context, request, &record, offset, len).await {
                // The store can only read from the first byte on. A server may ignore Range
                // (RFC 9110, 14.2).
                Err(error) if error.kind() == Kind::WholeOnly => {
                    return whole(context, request, &record, size_bytes).await;
                }
                part => part?,
            };
            response.status = StatusCode::PARTIAL_CONTENT;
            let last = offset + len - 1;
            let range = format!("bytes {offset}-{last}/{size_bytes}");
            Ok(response.with(CONTENT_RANGE, &range))
        }
        Selection::Unsatisfiable => {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            let page = status_response(
                status,
                "The range begins behind the image's end.",
                request.error_format,
            );
            Ok(page.with(CONTENT_RANGE, &format!("bytes */{size_bytes}")))
        }
    }
}

/// Responds to HEAD with the headers of a GET (RFC 9110, 9.3.2); ranges are ignored (14.2). For an
/// image without data, for which GET is 404, the response has the metadata alone, as in Glance.
pub(super) async fn head(
    context: &V1Context<'_>,
    request: &ApiRequest,
    id: &str,
) -> Result<ApiResponse> {
    let record = context
        .service
        .catalog()
        .show(&context.caller, &image_id(id)?)
        .await?;
    let image = &record.image;
    let mut response = ApiResponse::empty(StatusCode::OK);
    match describe(context, image, &mut response) {
        None => add_no_data(&mut response.headers),
        Some(data) => {
            if let Some(response) = decided_by_conditions(context, request, image) {
                return Ok(response);
            }
            data.add_to(&mut response.headers);
            data.add_md5_to(&mut response.headers);
            data.add_length_to(&mut response.headers);
        }
    }
    Ok(response)
}

/// Returns the response if the conditions of a GET or HEAD decide it.
fn decided_by_conditions(
    context: &V1Context<'_>,
    request: &ApiRequest,
    image: &Image,
) -> Option<ApiResponse> {
    match read_conditions(request.headers()).evaluate_read(Validators::of(image)) {
        ConditionResult::Proceed => None,
        ConditionResult::NotModified => {
            let mut response = ApiResponse::empty(StatusCode::NOT_MODIFIED);
            if let Some(data) = describe(context, image, &mut response) {
                data.add_last_modified_to(&mut response.headers);
            }
            Some(response)
        }
        ConditionResult::Failed => {
            let detail = "The image is not the one that the request's conditions name.";
            let status = StatusCode::PRECONDITION_FAILED;
            Some(status_response(status, detail, request.error_format))
        }
    }
}

async fn whole(
    context: &V1Context<'_>,
    request: &ApiRequest,
    record: &Record,
    size_bytes: u64,
) -> Result<ApiResponse> {
    let (mut response, described) = data(context, request, record, 0, size_bytes).await?;
    if let Some(described) = described {
        described.add_md5_to(&mut response.headers);
    }
    Ok(response)
}

async fn data(
    context: &V1Context<'_>,
    request: &ApiRequest,
    record: &Record,
    offset: u64,
    len: u64,
) -> Result<(ApiResponse, Option<DataHeaders>)> {
    let mut response = ApiResponse::empty(StatusCode::OK);
    let download = context.service.download(record, offset, len).await?;
    metrics::first_byte(request.began.elapsed());
    response.payload = download.payload;
    response.transfer = download.transfer;
    let described = describe(context, &record.image, &mut response);
    if let Some(data) = &described {
        data.add_to(&mut response.headers);
    }
    Ok((response, described))
}

/// Writes the metadata and the entity tag. Returns the headers of the data, if there are data.
fn describe(
    context: &V1Context<'_>,
    image: &Image,
    response: &mut ApiResponse,
) -> Option<DataHeaders> {
    images::write_meta(context, image, response);
    let Representation { etag, data } = representation(image, now_s());
    if let Some(etag) = etag {
        response.headers.insert(ETAG, etag);
    }
    data
}

fn now_s() -> i64 {
    let since_epoch = crate::clock::since_epoch();
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}
