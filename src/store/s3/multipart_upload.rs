//! A multipart upload: sends several parts at the same time, then joins or removes them.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::timeout;

use super::etag_check::ExpectedMd5;
use super::object::S3Object;
use super::part_body::{BodyConsumed, PartBody};
use super::part_buffer::PartBuffer;
use super::s3_error::S3Error;
use super::streamed_part::{BodyDropped, StreamedPart};

/// Longest wait for parts that S3 has received completely, before an upload is aborted. S3 might
/// otherwise store such a part after the abort, and nothing would ever remove it.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// A running multipart upload. Dropped, its requests are cancelled, but S3 keeps the parts it has
/// until the upload is aborted.
pub(super) struct MultipartUpload {
    object: Arc<S3Object>,
    upload_id: Arc<str>,
    max_at_once: usize,
    sending: JoinSet<Result<CompletedPart, S3Error>>,
    handles: Vec<(AbortHandle, BodyConsumed)>,
    sent: Vec<CompletedPart>,
    last_number: i32,
}

impl MultipartUpload {
    pub(super) fn new(object: Arc<S3Object>, upload_id: String, max_at_once: usize) -> Self {
        Self {
            object,
            upload_id: upload_id.into(),
            max_at_once,
            sending: JoinSet::new(),
            handles: Vec::new(),
            sent: Vec::new(),
            last_number: 0,
        }
    }

    /// Returns S3's identifier of the upload.
    pub(super) fn upload_id(&self) -> Arc<str> {
        Arc::clone(&self.upload_id)
    }

    /// Returns the number of the next part; numbers start at 1.
    pub(super) fn next_number(&self) -> u64 {
        u64::from(self.last_number.unsigned_abs()) + 1
    }

    /// Starts to send a buffered part, once fewer than the maximum are being sent. The MD5 that S3
    /// reports is compared with `expected`, if there is one.
    pub(super) async fn send(
        &mut self,
        part: PartBuffer,
        expected: Option<ExpectedMd5>,
    ) -> Result<(), S3Error> {
        self.start(PartBody::buffered(&part.complete()), expected)
            .await
    }

    /// Starts to send a streamed part of `len` bytes.
    pub(super) async fn stream_part(
        &mut self,
        len: u64,
        expected: Option<ExpectedMd5>,
    ) -> Result<StreamedPart, S3Error> {
        let (streamed, body) = StreamedPart::new(len);
        self.start(body, expected).await?;
        Ok(streamed)
    }

    async fn start(
        &mut self,
        body: PartBody,
        expected: Option<ExpectedMd5>,
    ) -> Result<(), S3Error> {
        while self.sending.len() >= self.max_at_once {
            self.one_sent().await?;
        }
        self.last_number += 1;
        let (object, upload_id) = (Arc::clone(&self.object), self.upload_id());
        let (number, consumed) = (self.last_number, body.consumed.clone());
        let send = async move {
            let (part, received) = object.put_part(&upload_id, number, body).await?;
            if let Some(expected) = expected {
                received.compare_part("UploadPart", expected).await?;
            }
            Ok(part)
        };
        let handle = self.sending.spawn_local(send);
        self.handles.retain(|(handle, _)| !handle.is_finished());
        self.handles.push((handle, consumed));
        Ok(())
    }

    /// Sends the next bytes of a streamed part.
    pub(super) async fn fill(
        &mut self,
        streamed: &mut StreamedPart,
        bytes: &mut Bytes,
    ) -> Result<(), S3Error> {
        match self.until_part_fails(streamed.fill(bytes)).await? {
            Ok(()) => Ok(()),
            Err(BodyDropped) => {
                // The request has ended; its own error is more precise than this one.
                self.all_sent().await?;
                let early = "S3 accepted a part before its last byte was sent";
                Err(S3Error::unexpected("UploadPart", early))
            }
        }
    }

    /// Waits for `other`, but fails as soon as a part does.
    pub(super) async fn until_part_fails<T>(
        &mut self,
        other: impl Future<Output = T>,
    ) -> Result<T, S3Error> {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                biased;
                other = &mut other => return Ok(other),
                Some(sent) = self.sending.join_next() => self.record(sent)?,
            }
        }
    }

    /// Waits for all parts, and joins them.
    pub(super) async fn complete(&mut self) -> Result<(), S3Error> {
        self.all_sent().await?;
        let mut parts = std::mem::take(&mut self.sent);
        // Parts complete in any order, but S3 requires them in ascending order.
        parts.sort_unstable_by_key(CompletedPart::part_number);
        self.object.complete(&self.upload_id, parts).await
    }

    /// Aborts the upload, and removes its parts from S3.
    pub(super) async fn abort(mut self) -> Result<(), S3Error> {
        for (handle, consumed) in &self.handles {
            // A request whose body was sent completely may succeed at S3 although it is cancelled
            // here.
            if !consumed.get() {
                handle.abort();
            }
        }
        let settled = async { while self.sending.join_next().await.is_some() {} };
        // After the limit the upload is aborted anyway. The cleaner aborts it again later, since S3
        // may still store a part.
        let _ = timeout(SETTLE_LIMIT, settled).await;
        self.sending.abort_all();
        self.object.abort(&self.upload_id).await
    }

    async fn all_sent(&mut self) -> Result<(), S3Error> {
        while !self.sending.is_empty() {
            self.one_sent().await?;
        }
        Ok(())
    }

    async fn one_sent(&mut self) -> Result<(), S3Error> {
        match self.sending.join_next().await {
            Some(sent) => self.record(sent),
            None => Ok(()),
        }
    }

    fn record(
        &mut self,
        sent: Result<Result<CompletedPart, S3Error>, JoinError>,
    ) -> Result<(), S3Error> {
        let sent = sent.map_err(|panicked| S3Error::no_response("UploadPart", &panicked))?;
        self.sent.push(sent?);
        Ok(())
    }
}
