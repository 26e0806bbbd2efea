//! Lists the objects of a bucket that have the names of images.

use std::collections::BTreeMap;

use aws_sdk_s3::primitives::DateTime;

use super::super::{StoredEntry, StoredKey};
use super::account_clients::AccountClients;
use super::s3_error::S3Error;
use crate::image::{ImageId, Timestamp};

/// Lists the objects and the incomplete multipart uploads of images, one entry per image.
pub(super) async fn images_in(
    clients: &AccountClients,
    bucket: &str,
) -> Result<Vec<StoredEntry>, S3Error> {
    let mut images = BTreeMap::new();
    let listed = async {
        add_objects(clients, bucket, &mut images).await?;
        add_uploads(clients, bucket, &mut images).await
    };
    match listed.await {
        Err(failure) if !failure.is_no_bucket() => Err(failure),
        _ => Ok(images.into_values().collect()),
    }
}

async fn add_objects(
    clients: &AccountClients,
    bucket: &str,
    images: &mut BTreeMap<ImageId, StoredEntry>,
) -> Result<(), S3Error> {
    let mut token = None;
    loop {
        let request = clients.calls.list_objects_v2();
        let request = request.bucket(bucket).set_continuation_token(token);
        let page = request.send().await;
        let page = page.map_err(|error| S3Error::from_sdk("ListObjectsV2", &error))?;
        for object in page.contents() {
            let size_bytes = object.size().unwrap_or_default().unsigned_abs();
            add(images, object.key(), size_bytes, object.last_modified());
        }
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            return Ok(());
        }
    }
}

async fn add_uploads(
    clients: &AccountClients,
    bucket: &str,
    images: &mut BTreeMap<ImageId, StoredEntry>,
) -> Result<(), S3Error> {
    let mut after: Option<(String, String)> = None;
    loop {
        let (key_marker, upload_id_marker) = after.unzip();
        let request = clients.calls.list_multipart_uploads().bucket(bucket);
        let request = request.set_key_marker(key_marker);
        let page = request.set_upload_id_marker(upload_id_marker).send().await;
        let page = page.map_err(|error| S3Error::from_sdk("ListMultipartUploads", &error))?;
        for upload in page.uploads() {
            add(images, upload.key(), 0, upload.initiated());
        }
        after = page.next_key_marker.zip(page.next_upload_id_marker);
        if page.is_truncated != Some(true) || after.is_none() {
            return Ok(());
        }
    }
}

fn add(
    images: &mut BTreeMap<ImageId, StoredEntry>,
    key: Option<&str>,
    size_bytes: u64,
    written: Option<&DateTime>,
) {
    let Some(id) = key.and_then(|key| key.parse().ok()) else {
        return;
    };
    let written_at = written.map(|at| Timestamp::from_micros(at.secs().saturating_mul(1_000_000)));
    let stored = images.entry(id).or_insert(StoredEntry {
        key: StoredKey::Image(id),
        size_bytes: 0,
        written_at,
    });
    stored.size_bytes += size_bytes;
    stored.written_at = stored.written_at.max(written_at);
}
