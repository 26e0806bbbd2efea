//! An upload in parts, several of which are sent at a time.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::timeout;

use super::etag_check::ExpectedMd5;
use super::object::S3Object;
use super::part_buffer::{BodyConsumed, PartBody, PartBuffer, RetryablePart};
use super::s3_error::S3Error;
use super::streamed_part::{BodyDropped, StreamedPart};

/// Longest wait, before an upload is removed, for parts that S3 has received already. Such
/// a part could otherwise come to rest after everything else was removed.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// An upload under way. Dropped, its parts are no longer sent; what S3 has of it remains
/// until somebody removes it by its name.
pub(super) struct MultipartUpload {
    object: Arc<S3Object>,
    upload_id: Arc<str>,
    most_at_once: usize,
    sending: JoinSet<Result<CompletedPart, S3Error>>,
    handles: Vec<(AbortHandle, BodyConsumed)>,
    sent: Vec<CompletedPart>,
    last_number: i32,
}

impl MultipartUpload {
    pub(super) fn new(object: Arc<S3Object>, upload_id: String, most_at_once: usize) -> Self {
        Self {
            object,
            upload_id: upload_id.into(),
            most_at_once,
            sending: JoinSet::new(),
            handles: Vec::new(),
            sent: Vec::new(),
            last_number: 0,
        }
    }

    /// What S3 calls the upload.
    pub(super) fn upload_id(&self) -> Arc<str> {
        Arc::clone(&self.upload_id)
    }

    /// The number of the part to be sent next, from 1.
    pub(super) fn next_number(&self) -> u64 {
        u64::from(self.last_number.unsigned_abs()) + 1
    }

    /// Has a part sent, as soon as there are not too many under way. What S3 has of it is
    /// compared with what is expected, if anything is.
    pub(super) async fn send(
        &mut self,
        part: PartBuffer,
        expected: Option<ExpectedMd5>,
    ) -> Result<(), S3Error> {
        self.start(RetryablePart::new(part).load(), expected).await
    }

    /// Begins to send a part that is still to come.
    pub(super) async fn stream_part(
        &mut self,
        len: u64,
        expected: Option<ExpectedMd5>,
    ) -> Result<StreamedPart, S3Error> {
        let (passing, load) = StreamedPart::new(len);
        self.start(load, expected).await?;
        Ok(passing)
    }

    async fn start(
        &mut self,
        load: PartBody,
        expected: Option<ExpectedMd5>,
    ) -> Result<(), S3Error> {
        while self.sending.len() >= self.most_at_once {
            self.one_sent().await?;
        }
        self.last_number += 1;
        let (object, upload_id) = (Arc::clone(&self.object), self.upload_id());
        let (number, consumed) = (self.last_number, load.consumed.clone());
        let send = async move {
            let (part, received) = object.put_part(&upload_id, number, load).await?;
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

    /// Passes on the next bytes of a part that [`MultipartUpload::stream_part`] began.
    pub(super) async fn fill(
        &mut self,
        passing: &mut StreamedPart,
        bytes: &mut Bytes,
    ) -> Result<(), S3Error> {
        match self.until_part_fails(passing.fill(bytes)).await? {
            Ok(()) => Ok(()),
            Err(BodyDropped) => {
                // The part has failed, and says why.
                self.all_sent().await?;
                let early = "it took a part before it had all of it";
                Err(S3Error::unexpected("UploadPart", early))
            }
        }
    }

    /// Waits for something else, unless a part fails before.
    pub(super) async fn meanwhile<T>(
        &mut self,
        other: impl Future<Output = T>,
    ) -> Result<T, S3Error> {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                biased;
                other = &mut other => return Ok(other),
                Some(sent) = self.sending.join_next() => self.note(sent)?,
            }
        }
    }

    /// Waits for all parts, and puts them together.
    pub(super) async fn complete(&mut self) -> Result<(), S3Error> {
        self.all_sent().await?;
        let mut parts = std::mem::take(&mut self.sent);
        parts.sort_unstable_by_key(CompletedPart::part_number);
        self.object.complete(&self.upload_id, parts).await
    }

    /// Removes what S3 has of it.
    pub(super) async fn abort(mut self) -> Result<(), S3Error> {
        for (handle, consumed) in &self.handles {
            if !consumed.get() {
                handle.abort();
            }
        }
        let settled = async { while self.sending.join_next().await.is_some() {} };
        // Longer than this, and only whoever removes it later can be sure.
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
            Some(sent) => self.note(sent),
            None => Ok(()),
        }
    }

    fn note(
        &mut self,
        sent: Result<Result<CompletedPart, S3Error>, JoinError>,
    ) -> Result<(), S3Error> {
        let sent = sent.map_err(|panicked| S3Error::no_response("UploadPart", &panicked))?;
        self.sent.push(sent?);
        Ok(())
    }
}
