//! Lists of images, and POST, PUT and DELETE of one.

use http::header::{CONTENT_TYPE, ETAG, LOCATION, USER_AGENT};
use http::{HeaderValue, StatusCode};
use hyper::body::Body;

use super::context::V1Context;
use super::deleted_filter::apply_deleted_and_pending_filter;
use super::list_query;
use super::style::Style;
use crate::api::body::{BodySource, check_content_md5};
use crate::api::path::image_id;
use crate::api::request::ApiRequest;
use crate::api::response::{ApiResponse, HTML, JSON};
use crate::error::Result;
use crate::image::{Fields, Image, OnFailure};
use crate::service::{Purge, UploadData};
use crate::wire::{self, MetaReader, Spelling, is_true_word, read_conditions, read_content_md5};

const PURGE_PROPERTIES: &str = "x-glance-registry-purge-props";

pub(super) async fn list(
    context: &V1Context<'_>,
    request: &ApiRequest,
    detailed: bool,
) -> Result<ApiResponse> {
    let query = request.head.uri.query().unwrap_or_default();
    let mut list = list_query::parse(query)?;
    if context.caller.is_admin {
        apply_deleted_and_pending_filter(query, &mut list);
    }
    let page = context
        .service
        .catalog()
        .list(&context.caller, list)
        .await?;
    let text = wire::listing(page, detailed, context.uri_base());
    Ok(ApiResponse::rendered(StatusCode::OK, JSON, text))
}

/// Writes the metadata of an image.
pub(super) fn write_meta(context: &V1Context<'_>, image: &Image, response: &mut ApiResponse) {
    let (spelling, uri) = match context.style {
        Style::Versioned => (Spelling::Underscores, None),
        Style::Unversioned => {
            let uri = format!("{}{}", context.images_base(), image.id);
            (Spelling::UnderscoresAndDashes, Some(uri))
        }
    };
    wire::write_meta(image, spelling, uri.as_deref(), &mut response.headers);
}

fn add_etag(image: &Image, response: &mut ApiResponse) {
    let checksum = image.checksum.as_ref().map(|sum| sum.as_str());
    if let Some(Ok(etag)) = checksum.map(HeaderValue::from_str) {
        response.headers.insert(ETAG, etag);
    }
}

pub(super) async fn create(
    context: &V1Context<'_>,
    mut request: ApiRequest,
) -> Result<ApiResponse> {
    let fields = read_fields(&request)?;
    let data = take_data(context, &mut request)?;
    let record = context
        .service
        .create(&context.caller, fields, data)
        .await?;
    let response = image_response(context, StatusCode::CREATED, &record.image);
    let address = format!("{}{}", context.images_base(), record.image.id);
    Ok(response.with(LOCATION, &address))
}

pub(super) async fn update(
    context: &V1Context<'_>,
    mut request: ApiRequest,
    id: &str,
) -> Result<ApiResponse> {
    // Errors of the request precede the lookup, so they do not reveal whether the image exists.
    let fields = read_fields(&request)?;
    let id = image_id(id)?;
    let purge = match request.header(PURGE_PROPERTIES) {
        Some(word) if !is_true_word(word) => Purge::Nothing,
        _ => Purge::Unnamed,
    };
    let data = take_data(context, &mut request)?;
    let conditions = read_conditions(request.headers());
    let updated = context
        .service
        .update(&context.caller, &id, fields, purge, data, &conditions);
    Ok(image_response(
        context,
        StatusCode::OK,
        &updated.await?.image,
    ))
}

pub(super) async fn delete(
    context: &V1Context<'_>,
    request: &ApiRequest,
    id: &str,
) -> Result<ApiResponse> {
    let conditions = read_conditions(request.headers());
    context
        .service
        .delete(&context.caller, &image_id(id)?, &conditions)
        .await?;
    let mut response = ApiResponse::empty(StatusCode::OK);
    response.headers.insert(CONTENT_TYPE, HTML);
    Ok(response)
}

/// Returns the response to POST and PUT.
fn image_response(context: &V1Context<'_>, status: StatusCode, image: &Image) -> ApiResponse {
    let body = wire::write_image(image, context.uri_base().as_deref());
    let mut response = ApiResponse::of(status, JSON, body);
    add_etag(image, &mut response);
    response
}

fn read_fields(request: &ApiRequest) -> Result<Fields> {
    // Only this client escapes what its user typed.
    let agent = request.header(USER_AGENT).unwrap_or_default();
    let escaped = agent.starts_with("python-glanceclient");
    MetaReader { escaped }.read(request.headers())
}

/// Takes the data out of a request: a body of a stated length above zero, or a chunked one of any
/// length. `None` without data.
///
/// # Errors
/// `Invalid` for a malformed Content-MD5, and for one that an empty body does not have.
fn take_data(
    context: &V1Context<'_>,
    request: &mut ApiRequest,
) -> Result<Option<UploadData<BodySource>>> {
    let stated_md5 = read_content_md5(request.headers())?;
    let body = request.body.take().filter(|body| !body.is_end_stream());
    let Some(body) = body else {
        check_content_md5(stated_md5, b"")?;
        return Ok(None);
    };
    let content_type = request.header(CONTENT_TYPE).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_octets = media_type.eq_ignore_ascii_case("application/octet-stream");
    let len_bytes = body.size_hint().exact();
    let source = BodySource::new(body, request.connection.clone(), context.settings.timeouts);
    Ok(Some(UploadData {
        source,
        len_bytes,
        is_octets,
        stated_md5,
        on_failure: OnFailure::Kill,
    }))
}
