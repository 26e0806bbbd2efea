//! Complete downloads to a file or a stream. A download that loses its connection resumes where it
//! stopped, and the MD5 is verified before the file gets its name. The rule: bytes are only
//! continued if the entity tag proves that they belong to the same data.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use http::header::HeaderValue;

use super::api_client::Client;
use super::download_writer::{Completion, DownloadTarget, DownloadWriter, StreamTarget};
use super::error::{ClientError, Result};
use super::images::ImageData;
use super::progress::ProgressReporter;
use super::resumable_file::ResumableFile;
use crate::image::Checksum;
use crate::wire::ImageMeta;

/// Default of [`DownloadOptions::retries`].
const DEFAULT_RETRIES: u32 = 5;
/// Default of [`DownloadOptions::backoff`].
const DEFAULT_BACKOFF: Duration = Duration::from_millis(500);
/// Longest pause before a retry.
const MAX_BACKOFF: Duration = Duration::from_secs(15);

/// Options of a download.
#[derive(Debug, Clone)]
pub struct DownloadOptions {
    /// Consecutive retries without progress before the download fails.
    pub retries: u32,
    /// Pause before the first retry. It doubles with each further retry, up to 15 seconds.
    pub backoff: Duration,
    /// Receives the progress.
    pub progress: ProgressReporter,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            retries: DEFAULT_RETRIES,
            backoff: DEFAULT_BACKOFF,
            progress: ProgressReporter::default(),
        }
    }
}

/// Result of a complete download.
#[derive(Debug, Clone)]
pub struct DownloadSummary {
    /// Metadata of the image.
    pub meta: ImageMeta,
    /// Size of the image.
    pub size_bytes: u64,
    /// Bytes taken over from an earlier, interrupted download.
    pub resumed_from_bytes: u64,
    /// MD5 of the data in hexadecimal.
    pub md5: String,
    /// True if the MD5 was compared with a checksum of the server.
    pub is_verified: bool,
}

impl Client {
    /// Downloads an image into a file.
    ///
    /// The data are written to `NAME.part` in the same directory, which is synchronised and renamed
    /// to the target once the MD5 is verified; an existing target is replaced. An interrupted
    /// download, of this call or of an earlier one, is resumed from `NAME.part`. If that file turns
    /// out to belong to other data, the download starts again.
    ///
    /// # Errors
    /// Any [`ClientError`]. After [`ClientError::ChecksumMismatch`] `NAME.part` is removed; after
    /// other errors it remains for the next attempt.
    pub async fn download_to_file(
        &self,
        image: &str,
        target: &Path,
        options: &DownloadOptions,
    ) -> Result<DownloadSummary> {
        let (meta, validator) = self.head(image).await?;
        let name = target.display().to_string();
        let file = ResumableFile::open(target)
            .map_err(|error| ClientError::io(format!("Cannot write {name}"), error))?;
        self.download(meta, validator, file, name, options).await
    }

    /// Downloads an image into a stream. A lost connection is resumed if the server supports
    /// ranges. The MD5 is compared at the end, when the bytes have been written already.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn download_to_writer(
        &self,
        image: &str,
        writer: impl Write + Send + 'static,
        name: &str,
        options: &DownloadOptions,
    ) -> Result<DownloadSummary> {
        let (meta, validator) = self.head(image).await?;
        let stream = StreamTarget(writer);
        self.download(meta, validator, stream, name.to_owned(), options)
            .await
    }

    async fn download(
        &self,
        meta: ImageMeta,
        validator: Option<HeaderValue>,
        target: impl DownloadTarget,
        name: String,
        options: &DownloadOptions,
    ) -> Result<DownloadSummary> {
        let writer = DownloadWriter::start(target, name).await?;
        let mut transfer = ResumableDownload {
            client: self,
            options,
            leftover_bytes: writer.bytes(),
            furthest_bytes: writer.bytes(),
            requests_whole: false,
            meta,
            validator,
            writer,
        };
        match transfer.run().await {
            Ok(downloaded) => {
                transfer.writer.end(Completion::Publish).await?;
                Ok(downloaded)
            }
            Err(error) => {
                let how = match error {
                    ClientError::ChecksumMismatch { .. } => Completion::Discard,
                    _ => Completion::Leave,
                };
                // The error of the download matters more than one of the cleanup.
                let _ = transfer.writer.end(how).await;
                Err(error)
            }
        }
    }
}

/// The state of a download across its requests.
struct ResumableDownload<'a> {
    client: &'a Client,
    options: &'a DownloadOptions,
    meta: ImageMeta,
    /// Entity tag of the data that are being written.
    validator: Option<HeaderValue>,
    writer: DownloadWriter,
    /// Bytes taken over from an earlier download; not verified until the end.
    leftover_bytes: u64,
    /// Largest number of bytes present at any time; more bytes count as progress.
    furthest_bytes: u64,
    /// True if the next request is for the whole image because the server failed to send a range.
    requests_whole: bool,
}

impl ResumableDownload<'_> {
    async fn run(&mut self) -> Result<DownloadSummary> {
        loop {
            self.fetch_with_retries().await?;
            match self.verify().await {
                // The bytes of the earlier download may belong to other data: start again, once.
                Err(ClientError::ChecksumMismatch { .. }) if self.leftover_bytes > 0 => {
                    tracing::debug!(
                        "the partial file does not belong to this image; starting again"
                    );
                    self.restart().await?;
                }
                outcome => return outcome,
            }
        }
    }

    async fn fetch_with_retries(&mut self) -> Result<()> {
        let mut failures = 0;
        loop {
            let error = match self.fetch().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if self.writer.bytes() > self.furthest_bytes {
                self.furthest_bytes = self.writer.bytes();
                failures = 0;
            }
            if !error.is_transient() || failures >= self.options.retries {
                return Err(error);
            }
            let pause = self
                .options
                .backoff
                .saturating_mul(2u32.saturating_pow(failures));
            failures += 1;
            tracing::debug!(%error, failures, "retrying the download after a pause");
            tokio::time::sleep(pause.min(MAX_BACKOFF)).await;
        }
    }

    /// Sends one request for the missing bytes, or for all bytes if the server cannot send a range.
    async fn fetch(&mut self) -> Result<()> {
        let present = self.writer.bytes();
        let is_too_long = self.meta.size.is_some_and(|size| present > size);
        // Without an entity tag the bytes cannot be told from those of an earlier image.
        if is_too_long || self.validator.is_none() {
            self.restart().await?;
        } else if present > 0 && self.meta.size == Some(present) {
            return Ok(());
        }
        let start = match self.requests_whole {
            true => 0,
            false => self.writer.bytes(),
        };
        let validator = self.validator.as_ref();
        let answer = self.client.get_image_from(&self.meta.id, start, validator);
        match answer.await {
            Ok((meta, data)) => self.receive(meta, data).await,
            Err(ClientError::Status { code, .. })
                if code == StatusCode::RANGE_NOT_SATISFIABLE && start > 0 =>
            {
                self.restart().await?;
                let (meta, data) = self.client.get_image_from(&self.meta.id, 0, None).await?;
                self.receive(meta, data).await
            }
            Err(error) => {
                // Some servers fail with an error if their backend has no ranges. The next request
                // is for the whole image, and the bytes that are present are skipped.
                let has_answered = matches!(error, ClientError::Status { .. });
                self.requests_whole = has_answered && start > 0;
                Err(error)
            }
        }
    }

    async fn receive(&mut self, meta: ImageMeta, mut data: ImageData) -> Result<()> {
        if data.etag() != self.validator.as_ref() {
            if data.start_byte() > 0 {
                return Err(ClientError::Protocol(
                    "it continues with the data of another image".to_owned(),
                ));
            }
            self.restart().await?;
            self.validator = data.etag().cloned();
        }
        self.meta = meta;
        let total = data.expected_bytes().map(|rest| rest + data.start_byte());
        self.options.progress.set(total, self.writer.bytes());
        // A server without ranges sends all bytes again: skip those that are present.
        let mut known = self.writer.bytes() - data.start_byte();
        while let Some(mut chunk) = data.chunk().await? {
            let passed = known.min(chunk.len() as u64);
            known -= passed;
            // At most the length of the chunk, so the conversion is exact.
            let fresh = chunk.split_off(passed as usize);
            self.options.progress.add(fresh.len() as u64);
            self.writer.write(fresh).await?;
        }
        match total {
            Some(expected_bytes) if expected_bytes != self.writer.bytes() => {
                Err(ClientError::ShortBody {
                    received_bytes: self.writer.bytes(),
                    expected_bytes,
                })
            }
            _ => Ok(()),
        }
    }

    async fn restart(&mut self) -> Result<()> {
        self.leftover_bytes = 0;
        self.writer.restart().await
    }

    async fn verify(&mut self) -> Result<DownloadSummary> {
        let md5 = Checksum::of(&self.writer.digest().await?).to_string();
        let stated = self.stated_md5();
        match &stated {
            Some(expected) if !expected.eq_ignore_ascii_case(&md5) => {
                Err(ClientError::ChecksumMismatch {
                    expected: expected.clone(),
                    actual: md5,
                })
            }
            _ => Ok(DownloadSummary {
                meta: self.meta.clone(),
                size_bytes: self.writer.bytes(),
                resumed_from_bytes: self.leftover_bytes,
                md5,
                is_verified: stated.is_some(),
            }),
        }
    }

    /// Returns the server's checksum. An entity tag in the form of an MD5 is Glance's checksum, too.
    fn stated_md5(&self) -> Option<String> {
        if let Some(checksum) = &self.meta.checksum {
            return Some(checksum.clone());
        }
        let tag = self.validator.as_ref()?.to_str().ok()?.trim_matches('"');
        Checksum::stated(tag)?.digest().map(|_| tag.to_owned())
    }
}
