//! The verbs of the API on images: list, show, read, create, update and delete. Checksums stated by
//! the server are compared with the MD5 of uploaded data here, those of downloads in `download`.

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use serde::Deserialize;

use super::api_client::{ApiRequest, Client};
use super::error::{ClientError, Result};
use super::list::ListOptions;
use super::response::ApiResponse;
use super::upload::Upload;
use crate::image::{Checksum, Fields, Md5Digest};
use crate::wire::{ImageMeta, Listing, read_meta, write_fields};

const PURGE_PROPS: &str = "x-glance-registry-purge-props";

#[derive(Deserialize)]
struct Envelope {
    image: ImageMeta,
}

/// The data of an image as they arrive.
pub struct ImageData {
    reply: ApiResponse,
    expected_bytes: Option<u64>,
    received_bytes: u64,
    start_byte: u64,
    etag: Option<HeaderValue>,
}

impl Client {
    /// Returns one page of the list of images: ID, name, formats, size and checksum of each.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_images(&self, options: &ListOptions) -> Result<Vec<ImageMeta>> {
        self.list(&["images"], options).await
    }

    /// Returns one page of the list of images with all their metadata.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_images_detailed(&self, options: &ListOptions) -> Result<Vec<ImageMeta>> {
        self.list(&["images", "detail"], options).await
    }

    /// Returns the metadata of an image, named by ID or URI.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_image_meta(&self, image: &str) -> Result<ImageMeta> {
        self.head(image).await.map(|(meta, _)| meta)
    }

    /// Returns the metadata of an image and the entity tag of its data.
    pub(super) async fn head(&self, image: &str) -> Result<(ImageMeta, Option<HeaderValue>)> {
        let id = self.endpoint().image_id(image)?;
        let call = ApiRequest::new(Method::HEAD, self.endpoint().path(&["images", &id]));
        let reply = self
            .call(call)
            .await
            .map_err(|error| with_message(error, &id))?;
        let meta = meta_of(&reply.headers, &id);
        let etag = reply.headers.get(ETAG).cloned();
        reply.discard().await?;
        Ok((meta, etag))
    }

    /// Returns the metadata of an image and its data.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_image(&self, image: &str) -> Result<(ImageMeta, ImageData)> {
        self.get_image_from(image, 0, None).await
    }

    /// Returns the metadata of an image and its data from `start_byte` on.
    ///
    /// `validator` is the entity tag ([`ImageData::etag`]) of the data that the caller has
    /// already. If the image's tag differs, or if the server does not support ranges, the data
    /// start at byte 0; [`ImageData::start_byte`] returns where they start.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn get_image_from(
        &self,
        image: &str,
        start_byte: u64,
        validator: Option<&HeaderValue>,
    ) -> Result<(ImageMeta, ImageData)> {
        let id = self.endpoint().image_id(image)?;
        let mut call = ApiRequest::new(Method::GET, self.endpoint().path(&["images", &id]));
        if start_byte > 0 {
            let range = HeaderValue::try_from(format!("bytes={start_byte}-"));
            // Digits are valid in every header, so the conversion cannot fail.
            range.into_iter().for_each(|range| {
                call.headers.insert(RANGE, range);
            });
            if let Some(validator) = validator {
                call.headers.insert(IF_RANGE, validator.clone());
            }
        }
        let reply = self.call(call).await?;
        let meta = meta_of(&reply.headers, &id);
        let data = ImageData::new(reply, start_byte)?;
        Ok((meta, data))
    }

    /// Creates an image, with data or without (a reservation).
    ///
    /// The size is stated if it is known, and the server's checksum is compared with the MD5 of
    /// the sent data.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn add_image(&self, fields: &Fields, data: Option<Upload>) -> Result<ImageMeta> {
        let call = ApiRequest::new(Method::POST, self.endpoint().path(&["images"]));
        self.send_image(call, fields, data).await
    }

    /// Updates the metadata of an image, or uploads the data of a queued one.
    ///
    /// `purge_properties` removes the properties that `fields` does not contain.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn update_image(
        &self,
        image: &str,
        fields: &Fields,
        purge_properties: bool,
        data: Option<Upload>,
    ) -> Result<ImageMeta> {
        let id = self.endpoint().image_id(image)?;
        let mut call = ApiRequest::new(Method::PUT, self.endpoint().path(&["images", &id]));
        let purge = if purge_properties { "true" } else { "false" };
        call.headers
            .insert(PURGE_PROPS, HeaderValue::from_static(purge));
        self.send_image(call, fields, data).await
    }

    /// Deletes an image.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn delete_image(&self, image: &str) -> Result<()> {
        let id = self.endpoint().image_id(image)?;
        let call = ApiRequest::new(Method::DELETE, self.endpoint().path(&["images", &id]));
        self.call(call).await?.discard().await
    }

    async fn list(&self, segments: &[&str], options: &ListOptions) -> Result<Vec<ImageMeta>> {
        let path = self.endpoint().path(segments);
        let call = ApiRequest::new(Method::GET, format!("{path}{}", options.query()));
        let listing: Listing = self.call(call).await?.json().await?;
        Ok(listing.images)
    }

    async fn send_image(
        &self,
        mut call: ApiRequest,
        fields: &Fields,
        data: Option<Upload>,
    ) -> Result<ImageMeta> {
        let Some(data) = data else {
            write_fields(fields, &mut call.headers)?;
            let envelope: Envelope = self.call(call).await?.json().await?;
            return Ok(envelope.image);
        };
        let mut fields = fields.clone();
        fields.size_bytes = fields.size_bytes.or(data.length_bytes());
        write_fields(&fields, &mut call.headers)?;
        let (reply, digest) = self.upload(call, data).await?;
        let envelope: Envelope = reply.json().await?;
        check_digest(&envelope.image, &digest)?;
        Ok(envelope.image)
    }
}

impl ImageData {
    fn new(reply: ApiResponse, wanted_start: u64) -> Result<Self> {
        let length: Option<u64> = reply
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let start_byte = match reply.status.as_u16() {
            206 => first_byte(&reply.headers)
                .filter(|first| *first == wanted_start)
                .ok_or_else(|| {
                    ClientError::Protocol(format!(
                        "it does not contain the range from byte {wanted_start} on"
                    ))
                })?,
            _ => 0,
        };
        Ok(Self {
            etag: reply.headers.get(ETAG).cloned(),
            reply,
            expected_bytes: length,
            received_bytes: 0,
            start_byte,
        })
    }

    /// Returns the position in the image of the first byte of these data.
    pub fn start_byte(&self) -> u64 {
        self.start_byte
    }

    /// Returns the number of bytes of these data, if the server states it.
    pub fn expected_bytes(&self) -> Option<u64> {
        self.expected_bytes
    }

    /// Returns the entity tag of the image's data.
    pub fn etag(&self) -> Option<&HeaderValue> {
        self.etag.as_ref()
    }

    /// Returns the next bytes, or `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::ShortBody`] if the data end before they are complete,
    /// [`ClientError::Timeout`] if nothing arrives within the progress timeout.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        match self.reply.chunk().await {
            Ok(Some(chunk)) => {
                self.received_bytes += chunk.len() as u64;
                Ok(Some(chunk))
            }
            Ok(None) => Ok(None),
            Err(error @ ClientError::Disconnected { .. }) => Err(match self.expected_bytes {
                Some(expected_bytes) => ClientError::ShortBody {
                    received_bytes: self.received_bytes + self.start_byte,
                    expected_bytes: expected_bytes + self.start_byte,
                },
                None => error,
            }),
            Err(error) => Err(error),
        }
    }
}

/// Returns the first position of `Content-Range: bytes FIRST-LAST/TOTAL`.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (first, _) = text.strip_prefix("bytes ")?.split_once('-')?;
    first.parse().ok()
}

/// Reads the metadata from headers. Old servers do not repeat the ID.
fn meta_of(headers: &HeaderMap, id: &str) -> ImageMeta {
    let mut meta = read_meta(headers);
    if meta.id.is_empty() {
        id.clone_into(&mut meta.id);
    }
    meta
}

/// Gives the error of a refused HEAD a message, because its response has no body.
fn with_message(error: ClientError, id: &str) -> ClientError {
    match error {
        ClientError::NotFound { .. } => ClientError::NotFound {
            message: format!("No image with ID {id} was found"),
        },
        other => other,
    }
}

/// Compares the MD5 of the sent data with the checksum of the server, if it states one.
fn check_digest(image: &ImageMeta, digest: &Md5Digest) -> Result<()> {
    let actual = Checksum::of(digest);
    match &image.checksum {
        Some(expected) if !expected.eq_ignore_ascii_case(actual.as_str()) => {
            Err(ClientError::ChecksumMismatch {
                expected: expected.clone(),
                actual: actual.to_string(),
            })
        }
        _ => Ok(()),
    }
}
