//! Resolves the argument that names an image (ID, URI or name) to the ID of the image.

use super::error::{CliError, CliResult};
use super::printable::printable;
use crate::client::{Client, ClientError, ListOptions};
use crate::image::ImageId;

/// Maximum number of IDs listed in the error for an ambiguous name.
const MAX_SHOWN: usize = 10;

/// Returns the ID of the image that `image` names by ID, URI or unique name.
///
/// An argument in the form of a UUID is tried as an ID first, any other as a name first.
///
/// # Errors
/// [`ClientError::NotFound`] if there is no such image, [`CliError::Refused`] if several images
/// have this name, and any other [`ClientError`].
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
    // Servers of 2010 and 2011 number their images, so any word may be an ID.
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
    // Some servers interpret operators such as "in:" in the filter, so the name is compared here.
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
