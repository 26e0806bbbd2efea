//! The verbs of the API on members: tenants with which an image is shared.

use http::Method;

use super::api_client::{ApiRequest, Client};
use super::error::Result;
use crate::wire::MemberEntry;
use crate::wire::{
    MemberListing, SharedImage, SharedImageListing, check_member_id, write_member,
    write_memberships,
};

impl Client {
    /// Returns the members of an image.
    ///
    /// # Errors
    /// Any [`super::ClientError`].
    pub async fn get_image_members(&self, image: &str) -> Result<Vec<MemberEntry>> {
        let id = self.endpoint().image_id(image)?;
        let path = self.endpoint().path(&["images", &id, "members"]);
        let listing: MemberListing = self
            .call(ApiRequest::new(Method::GET, path))
            .await?
            .json()
            .await?;
        Ok(listing.members)
    }

    /// Returns the images that are shared with a tenant.
    ///
    /// # Errors
    /// Any [`super::ClientError`].
    pub async fn get_member_images(&self, member: &str) -> Result<Vec<SharedImage>> {
        check_member_id(member)?;
        let path = self.endpoint().path(&["shared-images", member]);
        let call = ApiRequest::new(Method::GET, path);
        let listing: SharedImageListing = self.call(call).await?.json().await?;
        Ok(listing.shared_images)
    }

    /// Shares an image with a tenant. If `can_share` is `None`, a new member may not share the image
    /// further, and an existing member is not changed.
    ///
    /// # Errors
    /// Any [`super::ClientError`].
    pub async fn add_member(
        &self,
        image: &str,
        member: &str,
        can_share: Option<bool>,
    ) -> Result<()> {
        let mut call = ApiRequest::new(Method::PUT, self.member_path(image, member)?);
        if let Some(can_share) = can_share {
            call = call.json(write_member(can_share));
        }
        self.call(call).await?.discard().await
    }

    /// Stops sharing an image with a tenant.
    ///
    /// # Errors
    /// Any [`super::ClientError`].
    pub async fn delete_member(&self, image: &str, member: &str) -> Result<()> {
        let call = ApiRequest::new(Method::DELETE, self.member_path(image, member)?);
        self.call(call).await?.discard().await
    }

    /// Replaces the members of an image.
    ///
    /// # Errors
    /// Any [`super::ClientError`].
    pub async fn replace_members(&self, image: &str, members: &[MemberEntry]) -> Result<()> {
        let id = self.endpoint().image_id(image)?;
        for member in members {
            check_member_id(&member.id)?;
        }
        let path = self.endpoint().path(&["images", &id, "members"]);
        let call = ApiRequest::new(Method::PUT, path).json(write_memberships(
            members
                .iter()
                .map(|member| (member.id.as_str(), member.can_share)),
        ));
        self.call(call).await?.discard().await
    }

    fn member_path(&self, image: &str, member: &str) -> Result<String> {
        let id = self.endpoint().image_id(image)?;
        check_member_id(member)?;
        Ok(self.endpoint().path(&["images", &id, "members", member]))
    }
}
