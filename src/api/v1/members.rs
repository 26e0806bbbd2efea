//! Members of an image, and the list of images shared with a tenant.

use http::StatusCode;

use super::context::V1Context;
use crate::api::path::image_id;
use crate::api::request::ApiRequest;
use crate::api::response::{ApiResponse, JSON};
use crate::error::Result;
use crate::wire;

pub(super) async fn list(context: &V1Context<'_>, id: &str) -> Result<ApiResponse> {
    let members = context
        .service
        .catalog()
        .members(&context.caller, &image_id(id)?)
        .await?;
    let body = wire::write_members(members.iter());
    Ok(ApiResponse::of(StatusCode::OK, JSON, body))
}

pub(super) async fn add(
    context: &V1Context<'_>,
    mut request: ApiRequest,
    id: &str,
    member: &str,
) -> Result<ApiResponse> {
    let can_share = wire::parse_member(&context.body(&mut request).await?)?;
    wire::check_member_id(member)?;
    let id = image_id(id)?;
    let added = context
        .service
        .catalog()
        .add_member(&context.caller, &id, member, can_share);
    added.await?;
    Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn replace(
    context: &V1Context<'_>,
    mut request: ApiRequest,
    id: &str,
) -> Result<ApiResponse> {
    let wanted = wire::parse_memberships(&context.body(&mut request).await?)?;
    let id = image_id(id)?;
    context
        .service
        .catalog()
        .replace_members(&context.caller, &id, &wanted)
        .await?;
    Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove(context: &V1Context<'_>, id: &str, member: &str) -> Result<ApiResponse> {
    let id = image_id(id)?;
    context
        .service
        .catalog()
        .remove_member(&context.caller, &id, member)
        .await?;
    Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn shared_images(context: &V1Context<'_>, member: &str) -> Result<ApiResponse> {
    let shared = context
        .service
        .catalog()
        .shared_images(&context.caller, member)
        .await?;
    let images = shared.iter().map(|record| &record.image);
    let body = wire::write_shared_images(images, member);
    Ok(ApiResponse::of(StatusCode::OK, JSON, body))
}
