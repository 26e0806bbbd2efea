//! Whole downloads: resumed when the connection breaks, checked, and published by rename.

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

/// Tries in a row that bring no byte nearer, before a download is given up.
const DEFAULT_RETRIES: u32 = 5;
/// Pause before the first retry; each further one is twice as long.
const DEFAULT_BACKOFF: Duration = Duration::from_millis(500);
/// Longest pause before a retry.
const MAX_BACKOFF: Duration = Duration::from_secs(15);

/// How a download is to be carried out.
#[derive(Debug, Clone)]
pub struct DownloadOptions {
    /// Tries in a row that bring no byte nearer, before the download is given up.
    pub retries: u32,
    /// Pause before the first retry; each further one is twice as long, up to 15 seconds.
    pub backoff: Duration,
    /// Who is told of the bytes as they come.
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

/// A complete download.
#[derive(Debug, Clone)]
pub struct DownloadSummary {
    /// The image.
    pub meta: ImageMeta,
    /// All its bytes.
    pub size_bytes: u64,
    /// Those of them that an earlier download had left.
    pub resumed_from_bytes: u64,
    /// MD5 in hexadecimal, as computed from the bytes.
    pub md5: String,
    /// Whether the server has a checksum that this MD5 was compared with.
    pub is_verified: bool,
}

impl Client {
    /// Downloads an image into a file.
    ///
    /// The bytes go to `NAME.part` in the same folder, which is flushed and renamed to the
    /// target once their MD5 is right; a file of that name is replaced. A part that an earlier
    /// download left is gone on with, and so is this one when its connection breaks. A
    /// part that turns out to be of something else is dropped.
    ///
    /// # Errors
    /// Any [`ClientError`]. After [`ClientError::ChecksumMismatch`] the part is gone; after
    /// others it stays, for the next try.
    pub async fn download_to_file(
        &self,
        image: &str,
        target: &Path,
        options: &DownloadOptions,
    ) -> Result<DownloadSummary> {
        let (meta, validator) = self.head(image).await?;
        let name = target.display().to_string();
        let part = ResumableFile::open(target)
            .map_err(|error| ClientError::io(format!("Cannot write {name}"), error))?;
        self.download(meta, validator, part, name, options).await
    }

    /// Downloads an image into a stream. A connection that breaks is made anew and gone on
    /// with where the server knows ranges; the MD5 is compared at the end, when the bytes
    /// are out already.
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
        let sink = DownloadWriter::start(target, name).await?;
        let mut transfer = ResumableDownload {
            client: self,
            options,
            leftover_bytes: sink.bytes(),
            furthest_bytes: sink.bytes(),
            asks_whole: false,
            meta,
            validator,
            sink,
        };
        match transfer.run().await {
            Ok(downloaded) => {
                transfer.sink.end(Completion::Publish).await?;
                Ok(downloaded)
            }
            Err(error) => {
                let how = match error {
                    ClientError::ChecksumMismatch { .. } => Completion::Discard,
                    _ => Completion::Leave,
                };
                // The first error is the one that matters.
                let _ = transfer.sink.end(how).await;
                Err(error)
            }
        }
    }
}

/// A download under way.
struct ResumableDownload<'a> {
    client: &'a Client,
    options: &'a DownloadOptions,
    meta: ImageMeta,
    /// The entity tag of the data that are being written.
    validator: Option<HeaderValue>,
    sink: DownloadWriter,
    /// Bytes taken over from an earlier download, and not yet known to be right.
    leftover_bytes: u64,
    /// The most bytes there ever were.
    furthest_bytes: u64,
    /// Whether the next request is for the whole image, since one for a part has failed.
    asks_whole: bool,
}

impl ResumableDownload<'_> {
    async fn run(&mut self) -> Result<DownloadSummary> {
        loop {
            self.fetch_with_retries().await?;
            match self.verify().await {
                // The part may have been of another image: once more, from the start.
                Err(ClientError::ChecksumMismatch { .. }) if self.leftover_bytes > 0 => {
                    tracing::debug!("the part that was left does not belong to this image");
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
            if self.sink.bytes() > self.furthest_bytes {
                self.furthest_bytes = self.sink.bytes();
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
            tracing::debug!(%error, failures, "going on with the download after a pause");
            tokio::time::sleep(pause.min(MAX_BACKOFF)).await;
        }
    }

    /// One request for what is missing, or for everything where the server fails to send a
    /// part.
    async fn fetch(&mut self) -> Result<()> {
        let present = self.sink.bytes();
        let is_too_long = self.meta.size.is_some_and(|size| present > size);
        // What cannot be told from another image's beginning cannot be gone on with.
        if is_too_long || self.validator.is_none() {
            self.restart().await?;
        } else if present > 0 && self.meta.size == Some(present) {
            return Ok(());
        }
        let start = match self.asks_whole {
            true => 0,
            false => self.sink.bytes(),
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
                // Some servers fail where what is behind them knows no ranges. What is there
                // already is passed over then.
                let has_answered = matches!(error, ClientError::Status { .. });
                self.asks_whole = has_answered && start > 0;
                Err(error)
            }
        }
    }

    async fn receive(&mut self, meta: ImageMeta, mut data: ImageData) -> Result<()> {
        if data.etag() != self.validator.as_ref() {
            if data.start_byte() > 0 {
                return Err(ClientError::Protocol(
                    "it goes on with another image than it began with".to_owned(),
                ));
            }
            self.restart().await?;
            self.validator = data.etag().cloned();
        }
        self.meta = meta;
        let total = data.expected_bytes().map(|rest| rest + data.start_byte());
        self.options.progress.set(total, self.sink.bytes());
        // A server without ranges sends the whole again: pass over what is there.
        let mut known = self.sink.bytes() - data.start_byte();
        while let Some(mut chunk) = data.chunk().await? {
            let passed = known.min(chunk.len() as u64);
            known -= passed;
            // At most the length of the chunk, which fits.
            let fresh = chunk.split_off(passed as usize);
            self.options.progress.add(fresh.len() as u64);
            self.sink.write(fresh).await?;
        }
        match total {
            Some(expected_bytes) if expected_bytes != self.sink.bytes() => {
                Err(ClientError::ShortBody {
                    received_bytes: self.sink.bytes(),
                    expected_bytes,
                })
            }
            _ => Ok(()),
        }
    }

    async fn restart(&mut self) -> Result<()> {
        self.leftover_bytes = 0;
        self.sink.restart().await
    }

    async fn verify(&mut self) -> Result<DownloadSummary> {
        let md5 = Checksum::of(&self.sink.digest().await?).to_string();
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
                size_bytes: self.sink.bytes(),
                resumed_from_bytes: self.leftover_bytes,
                md5,
                is_verified: stated.is_some(),
            }),
        }
    }

    /// The server's checksum; an entity tag that is an MD5 is one, too.
    fn stated_md5(&self) -> Option<String> {
        if let Some(checksum) = &self.meta.checksum {
            return Some(checksum.clone());
        }
        let tag = self.validator.as_ref()?.to_str().ok()?.trim_matches('"');
        Checksum::stated(tag)?.digest().map(|_| tag.to_owned())
    }
}
