//! Members, which have the same messages as in the image API.

use http::StatusCode;

use super::context::Context;
use super::endpoint::Endpoint;
use crate::api::errors::status_response;
use crate::api::path::image_id;
use crate::api::request::ApiRequest;
use crate::api::response::{ApiResponse, JSON};
use crate::error::Result;
use crate::wire;

pub(super) async fn respond(
    context: &Context<'_>,
    endpoint: Endpoint,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let (service, caller) = (context.service, &*context.caller);
    match endpoint {
        Endpoint::Members { id } => {
            let members = service.catalog().members(caller, &image_id(&id)?).await?;
            let body = wire::write_members(members.iter());
            return Ok(ApiResponse::of(StatusCode::OK, JSON, body));
        }
        Endpoint::SharedImages { member } => {
            let shared = service.catalog().shared_images(caller, &member).await?;
            let images = shared.iter().map(|record| &record.image);
            let body = wire::write_shared_images(images, &member);
            return Ok(ApiResponse::of(StatusCode::OK, JSON, body));
        }
        Endpoint::ReplaceMembers { id } => {
            let wanted = wire::parse_memberships(&context.body(request).await?)?;
            let id = image_id(&id)?;
            service
                .catalog()
                .replace_members(caller, &id, &wanted)
                .await?;
        }
        Endpoint::AddMember { id, member } => {
            let can_share = wire::parse_member(&context.body(request).await?)?;
            wire::check_member_id(&member)?;
            let id = image_id(&id)?;
            service
                .catalog()
                .add_member(caller, &id, &member, can_share)
                .await?;
        }
        Endpoint::RemoveMember { id, member } => {
            service
                .catalog()
                .remove_member(caller, &image_id(&id)?, &member)
                .await?;
        }
        _ => {
            return Ok(status_response(
                StatusCode::NOT_FOUND,
                "",
                request.error_format,
            ));
        }
    }
    Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
}
