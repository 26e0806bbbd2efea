//! Management of the image cache: listing and deleting cached images, and the queue of images to
//! fetch.

use super::context::V1Context;
use super::endpoint::{CacheEndpoint, CacheVerb};
use crate::api::response::ApiResponse;
use crate::cache;
use crate::error::Result;
use crate::image::ImageId;
use crate::wire::{CachedImage, CachedImages, NumDeleted, QueuedImages};

pub(super) async fn respond(
    context: &V1Context<'_>,
    endpoint: &CacheEndpoint,
) -> Result<ApiResponse> {
    let (service, caller) = (context.service, &context.caller);
    match (&endpoint.verb, endpoint.is_queue) {
        (CacheVerb::List, false) => {
            let images = service.cached_images(caller)?;
            let cached_images = images.into_iter().map(shown).collect();
            ApiResponse::json(&CachedImages { cached_images })
        }
        (CacheVerb::List, true) => {
            let images = service.queued_images(caller)?;
            let queued_images = images.iter().map(ToString::to_string).collect();
            ApiResponse::json(&QueuedImages { queued_images })
        }
        (CacheVerb::DeleteAll, false) => ApiResponse::json(&NumDeleted {
            num_deleted: service.delete_all_cached(caller)?,
        }),
        (CacheVerb::DeleteAll, true) => ApiResponse::json(&NumDeleted {
            num_deleted: service.delete_all_queued(caller).await?,
        }),
        (CacheVerb::Delete(id), is_queue) => {
            // A malformed identifier names no image; the call only checks the policy, which must
            // refuse before the response shows that.
            match id.parse::<ImageId>() {
                Ok(id) if is_queue => service.delete_queued(caller, id).await?,
                Ok(id) => service.delete_cached(caller, &id)?,
                Err(_) => drop(service.queued_images(caller)?),
            }
            ApiResponse::json(&())
        }
        (CacheVerb::Queue(id), _) => {
            match id.parse::<ImageId>() {
                Ok(id) => service.queue_image(caller, id).await?,
                Err(_) => drop(service.queued_images(caller)?),
            }
            ApiResponse::json(&())
        }
    }
}

fn shown(image: cache::CachedImage) -> CachedImage {
    CachedImage {
        image_id: image.image.to_string(),
        hits: image.hits,
        last_accessed: image.last_accessed_s,
        last_modified: image.last_modified_s,
        size: image.size_bytes,
    }
}
