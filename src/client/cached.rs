//! The verbs of the cache-management extension: the image cache of one server and the queue of
//! images to be cached. Used by `glance-cache-manage`.

use http::Method;

use super::api_client::{ApiRequest, Client};
use super::error::Result;
use crate::wire::{CachedImage, CachedImages, NumDeleted, QueuedImages};

const CACHED: &str = "cached_images";
const QUEUED: &str = "queued_images";

impl Client {
    /// Returns the cached images.
    ///
    /// # Errors
    /// Any [`super::ClientError`]; `NotFound` if cache management is disabled on the server.
    pub async fn get_cached_images(&self) -> Result<Vec<CachedImage>> {
        let call = ApiRequest::new(Method::GET, self.endpoint().path(&[CACHED]));
        let listing: CachedImages = self.call(call).await?.json().await?;
        Ok(listing.cached_images)
    }

    /// Returns the IDs of the queued images, in order.
    ///
    /// # Errors
    /// As [`Client::get_cached_images`].
    pub async fn get_queued_images(&self) -> Result<Vec<String>> {
        let call = ApiRequest::new(Method::GET, self.endpoint().path(&[QUEUED]));
        let listing: QueuedImages = self.call(call).await?.json().await?;
        Ok(listing.queued_images)
    }

    /// Queues an image for caching.
    ///
    /// # Errors
    /// As [`Client::get_cached_images`].
    pub async fn queue_image_for_caching(&self, image: &str) -> Result<()> {
        self.change(Method::PUT, QUEUED, image).await
    }

    /// Removes an image from the cache.
    ///
    /// # Errors
    /// As [`Client::get_cached_images`].
    pub async fn delete_cached_image(&self, image: &str) -> Result<()> {
        self.change(Method::DELETE, CACHED, image).await
    }

    /// Removes all images from the cache and returns their number.
    ///
    /// # Errors
    /// As [`Client::get_cached_images`].
    pub async fn delete_all_cached_images(&self) -> Result<usize> {
        self.delete_all(CACHED).await
    }

    /// Removes an image from the queue.
    ///
    /// # Errors
    /// As [`Client::get_cached_images`].
    pub async fn delete_queued_image(&self, image: &str) -> Result<()> {
        self.change(Method::DELETE, QUEUED, image).await
    }

    /// Removes all images from the queue and returns their number.
    ///
    /// # Errors
    /// As [`Client::get_cached_images`].
    pub async fn delete_all_queued_images(&self) -> Result<usize> {
        self.delete_all(QUEUED).await
    }

    async fn change(&self, method: Method, list: &str, image: &str) -> Result<()> {
        let id = self.endpoint().image_id(image)?;
        let path = self.endpoint().path(&[list, &id]);
        self.call(ApiRequest::new(method, path))
            .await?
            .discard()
            .await
    }

    async fn delete_all(&self, list: &str) -> Result<usize> {
        let call = ApiRequest::new(Method::DELETE, self.endpoint().path(&[list]));
        let deleted: NumDeleted = self.call(call).await?.json().await?;
        Ok(deleted.num_deleted)
    }
}
