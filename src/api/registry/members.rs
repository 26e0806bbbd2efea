//! Members in the legacy registry protocol, with the same messages as in the v1 API.

use http::StatusCode;

use super::context::RegistryContext;
use crate::api::path::image_id;
use crate::api::request::ApiRequest;
use crate::api::response::{ApiResponse, JSON};
use crate::error::Result;
use crate::image::ImageId;
use crate::wire;

pub(super) async fn list(context: &RegistryContext<'_>, id: &ImageId) -> Result<ApiResponse> {
    let catalog = context.service.catalog();
    let members = catalog.members(&context.caller, id).await?;
    let body = wire::write_members(members.iter());
    Ok(ApiResponse::of(StatusCode::OK, JSON, body))
}

pub(super) async fn shared_images(
    context: &RegistryContext<'_>,
    member: &str,
) -> Result<ApiResponse> {
    let catalog = context.service.catalog();
    let shared = catalog.shared_images(&context.caller, member).await?;
    let images = shared.iter().map(|record| &record.image);
    let body = wire::write_shared_images(images, member);
    Ok(ApiResponse::of(StatusCode::OK, JSON, body))
}

pub(super) async fn replace(
    context: &RegistryContext<'_>,
    id: &str,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let wanted = wire::parse_memberships(&context.body(request).await?)?;
    let (catalog, id) = (context.service.catalog(), image_id(id)?);
    let caller = &context.caller;
    catalog.replace_members(caller, &id, &wanted).await?;
    Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn add(
    context: &RegistryContext<'_>,
    id: &str,
    member: &str,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let can_share = wire::parse_member(&context.body(request).await?)?;
    wire::check_member_id(member)?;
    let (catalog, id) = (context.service.catalog(), image_id(id)?);
    let caller = &context.caller;
    catalog.add_member(caller, &id, member, can_share).await?;
    Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove(
    context: &RegistryContext<'_>,
    id: &ImageId,
    member: &str,
) -> Result<ApiResponse> {
    let catalog = context.service.catalog();
    catalog.remove_member(&context.caller, id, member).await?;
    Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
}
