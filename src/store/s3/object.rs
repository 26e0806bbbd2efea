//! One object in S3 and the operations on it.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CompletedMultipartUpload, CompletedPart, CreateBucketConfiguration,
};

use uuid::Uuid;

use super::account_clients::AccountClients;
use super::etag_check::ReceivedMd5;
use super::part_body::PartBody;
use super::s3_error::S3Error;
use crate::image::Timestamp;

/// Validity of a presigned URL. It is used at once; the rest tolerates clocks that differ.
const SIGNED_FOR: Duration = Duration::from_secs(600);

/// Metadata key for the identifier of the upload that wrote an object.
const MARK: &str = "glance-upload";

/// Largest difference of this node's clock to that of S3 at which S3 accepts requests.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

/// The region that must not be named when a bucket is created.
const UNNAMED_REGION: &str = "us-east-1";

/// An object, which may or may not exist.
#[derive(Debug, Clone)]
pub(super) struct S3Object {
    pub(super) clients: AccountClients,
    pub(super) bucket: String,
    pub(super) key: String,
}

type Result<T> = std::result::Result<T, S3Error>;

impl S3Object {
    /// Writes the whole object in one request, and returns the MD5 that S3 reports.
    pub(super) async fn put(&self, body: PartBody, upload: Uuid) -> Result<ReceivedMd5> {
        let request = self.clients.data.put_object();
        let sent = request
            .bucket(&self.bucket)
            .key(&self.key)
            .metadata(MARK, upload.to_string())
            .content_length(signed(body.len))
            .body(body.stream)
            .send()
            .await;
        let sent = sent.map_err(|error| S3Error::from_sdk("PutObject", &error))?;
        Ok(ReceivedMd5::of(
            sent.e_tag.as_deref(),
            sent.server_side_encryption.as_ref(),
        ))
    }

    /// Creates a multipart upload, and returns S3's identifier of it.
    pub(super) async fn create_multipart(&self, upload: Uuid) -> Result<String> {
        const OPERATION: &str = "CreateMultipartUpload";
        let request = self.clients.calls.create_multipart_upload();
        let request = request.bucket(&self.bucket).key(&self.key);
        let begun = request.metadata(MARK, upload.to_string()).send().await;
        let begun = begun.map_err(|error| S3Error::from_sdk(OPERATION, &error))?;
        begun
            .upload_id
            .ok_or_else(|| S3Error::unexpected(OPERATION, "the response has no upload identifier"))
    }

    /// Writes one part, whose number starts at 1, and returns the MD5 that S3 reports.
    pub(super) async fn put_part(
        &self,
        upload_id: &str,
        number: i32,
        body: PartBody,
    ) -> Result<(CompletedPart, ReceivedMd5)> {
        let request = self.clients.data.upload_part();
        let sent = request
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(upload_id)
            .part_number(number)
            .content_length(signed(body.len))
            .body(body.stream)
            .send()
            .await;
        let sent = sent.map_err(|error| S3Error::from_sdk("UploadPart", &error))?;
        let received = ReceivedMd5::of(sent.e_tag.as_deref(), sent.server_side_encryption.as_ref());
        let part = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32);
        Ok((part.build(), received))
    }

    /// Joins the parts.
    pub(super) async fn complete(&self, upload_id: &str, parts: Vec<CompletedPart>) -> Result<()> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let request = self.clients.completion.complete_multipart_upload();
        let completed = request
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(upload_id)
            .multipart_upload(parts.build())
            .send()
            .await;
        completed.map_err(|error| S3Error::from_sdk("CompleteMultipartUpload", &error))?;
        Ok(())
    }

    /// Aborts a multipart upload. Succeeds if it does not exist.
    pub(super) async fn abort(&self, upload_id: &str) -> Result<()> {
        let request = self.clients.calls.abort_multipart_upload();
        let aborted = request
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(upload_id)
            .send()
            .await;
        or_absent(aborted.map_err(|error| S3Error::from_sdk("AbortMultipartUpload", &error)))
    }

    /// Aborts every multipart upload of this object, except those that certainly began before
    /// `since` by this node's clock: they belong to other uploads of the image.
    pub(super) async fn abort_all(&self, since: Option<Timestamp>) -> Result<()> {
        let mut after: Option<(String, String)> = None;
        loop {
            let request = self.clients.calls.list_multipart_uploads();
            let (key_marker, upload_id_marker) = after.unzip();
            let listed = request
                .bucket(&self.bucket)
                .prefix(&self.key)
                .set_key_marker(key_marker)
                .set_upload_id_marker(upload_id_marker)
                .send()
                .await;
            let page =
                match listed.map_err(|error| S3Error::from_sdk("ListMultipartUploads", &error)) {
                    Err(failure) if failure.is_absent() => return Ok(()),
                    page => page?,
                };
            for upload in page.uploads() {
                if let (Some(key), Some(id)) = (upload.key(), upload.upload_id())
                    && key == self.key
                    && !is_before(upload.initiated(), since)
                {
                    self.abort(id).await?;
                }
            }
            after = page.next_key_marker.zip(page.next_upload_id_marker);
            if page.is_truncated != Some(true) || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Removes the object. Succeeds if it does not exist.
    pub(super) async fn delete(&self) -> Result<()> {
        let request = self.clients.calls.delete_object();
        let deleted = request.bucket(&self.bucket).key(&self.key).send().await;
        or_absent(deleted.map_err(|error| S3Error::from_sdk("DeleteObject", &error)))
    }

    /// Removes everything that an upload has written, and nothing else.
    pub(super) async fn discard(&self, upload: Uuid, since: Timestamp) -> Result<()> {
        // Multipart uploads first: a completion that is still running has either created the object
        // by then, which is removed below, or fails.
        self.abort_all(Some(since)).await?;
        match self.upload_mark().await? {
            Some(Some(mark)) if mark == upload.to_string() => self.delete().await,
            _ => Ok(()),
        }
    }

    /// Returns true if the object exists. To an account without permission to list the bucket S3
    /// answers 403 for a missing object, which is taken as missing.
    pub(super) async fn exists(&self) -> Result<bool> {
        match self.upload_mark().await {
            Err(failure) if failure.is_forbidden() => Ok(false),
            mark => Ok(mark?.is_some()),
        }
    }

    /// Returns the identifier of the upload that wrote the object: `None` if the object does not
    /// exist, `Some(None)` if it has no identifier.
    async fn upload_mark(&self) -> Result<Option<Option<String>>> {
        let request = self.clients.calls.head_object();
        let head = request.bucket(&self.bucket).key(&self.key).send().await;
        match head.map_err(|error| S3Error::from_sdk("HeadObject", &error)) {
            Ok(head) => Ok(Some(head.metadata.and_then(|mut all| all.remove(MARK)))),
            Err(failure) if failure.is_absent() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Returns the object's size.
    pub(super) async fn size_bytes(&self) -> Result<u64> {
        const OPERATION: &str = "HeadObject";
        let request = self.clients.calls.head_object();
        let head = request.bucket(&self.bucket).key(&self.key).send().await;
        let head = head.map_err(|error| S3Error::from_sdk(OPERATION, &error))?;
        let bytes = head.content_length.and_then(|len| u64::try_from(len).ok());
        bytes.ok_or_else(|| S3Error::unexpected(OPERATION, "the response has no Content-Length"))
    }

    /// Creates a presigned request that reads the object.
    pub(super) async fn signed_get(&self) -> Result<http::Request<()>> {
        const OPERATION: &str = "GetObject";
        let signing = PresigningConfig::expires_in(SIGNED_FOR);
        let signing = signing.map_err(|error| S3Error::no_response(OPERATION, &error))?;
        let request = self.clients.calls.get_object();
        let request = request.bucket(&self.bucket).key(&self.key);
        let signed = request.presigned(signing).await;
        let signed = signed.map_err(|error| S3Error::from_sdk(OPERATION, &error))?;
        Ok(signed.into_http_1x_request(()))
    }

    /// Creates the bucket. Succeeds if the account owns it already.
    pub(super) async fn create_bucket(&self) -> Result<()> {
        let region = self.clients.region.as_str();
        let constraint = (region != UNNAMED_REGION).then(|| {
            let region = BucketLocationConstraint::from(region);
            let configuration = CreateBucketConfiguration::builder();
            configuration.location_constraint(region).build()
        });
        let request = self.clients.calls.create_bucket().bucket(&self.bucket);
        let made = request
            .set_create_bucket_configuration(constraint)
            .send()
            .await;
        match made.map_err(|error| S3Error::from_sdk("CreateBucket", &error)) {
            Err(failure) if !failure.has_code(&["BucketAlreadyOwnedByYou"]) => Err(failure),
            _ => Ok(()),
        }
    }
}

fn or_absent<T>(result: Result<T>) -> Result<()> {
    match result {
        Err(failure) if !failure.is_absent() => Err(failure),
        _ => Ok(()),
    }
}

/// Returns true if a multipart upload certainly began before a time, allowing for different clocks.
fn is_before(initiated: Option<&DateTime>, since: Option<Timestamp>) -> bool {
    let (Some(initiated), Some(since)) = (initiated, since) else {
        return false;
    };
    let skew_s = i64::try_from(MAX_CLOCK_SKEW.as_secs()).unwrap_or(i64::MAX);
    initiated.secs() < since.as_micros() / 1_000_000 - skew_s
}

/// Converts a length to the signed integer that the SDK requires.
fn signed(len: u64) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}
