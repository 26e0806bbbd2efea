//! From what a user calls an image to its id.

use super::error::{CliError, CliResult};
use super::printable::printable;
use crate::client::{Client, ClientError, ListOptions};
use crate::image::ImageId;

/// Ids shown of images that have the same name.
const MAX_SHOWN: usize = 10;

/// The id of an image that is named by id, URI or unique name.
///
/// What looks like an id is first taken for one; what does not is first taken for a name.
///
/// # Errors
/// When there is no such image, and when there are several of that name.
pub(super) async fn image_id(client: &Client, image: &str) -> CliResult<String> {
    if image.contains("://") {
        return Ok(client.get_image_meta(image).await?.id);
    }
    let looks_like_id = image.parse::<ImageId>().is_ok();
    if looks_like_id && let Some(id) = by_id(client, image).await? {
        return Ok(id);
    }
    if let Some(id) = by_name(client, image).await? {
        return Ok(id);
    }
    // Servers of the first years count their images.
    if !looks_like_id && let Some(id) = by_id(client, image).await? {
        return Ok(id);
    }
    Err(CliError::Client(ClientError::NotFound {
        message: format!("No image with a name or ID of '{image}' exists."),
    }))
}

async fn by_id(client: &Client, id: &str) -> CliResult<Option<String>> {
    match client.get_image_meta(id).await {
        Ok(meta) => Ok(Some(meta.id)),
        Err(ClientError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn by_name(client: &Client, name: &str) -> CliResult<Option<String>> {
    let wanted = ListOptions::default()
        .filter("name", name)
        .filter("is_public", "None");
    let images = client.pages(wanted).collect().await?;
    // Some servers read "in:" and the like in a name's filter.
    let mut ids = images
        .into_iter()
        .filter(|image| image.name.as_deref() == Some(name))
        .map(|image| image.id);
    let (Some(first), second) = (ids.next(), ids.next()) else {
        return Ok(None);
    };
    let Some(second) = second else {
        return Ok(Some(first));
    };
    let mut all = vec![first, second];
    all.extend(ids);
    let shown: Vec<_> = all.iter().take(MAX_SHOWN).map(|id| printable(id)).collect();
    Err(CliError::Refused(format!(
        "{} images are named '{name}'; use an ID to be more specific:\n{}",
        all.len(),
        shown.join("\n")
    )))
}
