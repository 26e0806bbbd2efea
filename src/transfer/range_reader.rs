//! Reads a range of an object on another server, and resumes after the connection is cut.
//!
//! The stores implement [`RangeSource`]; downloads, copies and cache fills use [`RangeReader`].
//! With a known digest, the reader withholds the last bytes until the digest is verified.

use std::collections::VecDeque;
use std::time::Duration;
use std::{fmt, io};

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::net::TcpStream;

use crate::error::{Error, Kind, Result};
use crate::md5::{DIGEST_BYTES, Md5Stream};
use crate::metrics;

/// The body of an HTTP message, of any kind.
pub type HttpBody = UnsyncBoxBody<Bytes, BoxError>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Default number of consecutive resume attempts without progress (see [`PROGRESS_BYTES`]).
const MOST_RESUMES: u32 = 3;

/// Bytes between two cuts that count as progress. A server that sends a few bytes per connection
/// fails; one whose connections are cut now and then does not.
const PROGRESS_BYTES: u64 = 1 << 20;

/// Wait before the second resume attempt without progress. It grows with each further attempt.
const RESUME_WAIT: Duration = Duration::from_millis(500);

/// Bytes that are read from a socket at a time, for callers that need them in memory.
const READ_BYTES: usize = 256 * 1024;

/// Default of the longest time without bytes in the middle of an object.
pub const DEFAULT_STALL: Duration = Duration::from_secs(60);

/// The body of one response: bytes of an object, from the requested offset.
pub enum RangeBody {
    /// A body that passes through user space: over TLS, in chunks, or from an SDK.
    Stream(HttpBody),
    /// A plain socket, which the kernel can splice.
    Socket(SocketBody),
}

/// A plain socket whose next bytes are the body's.
pub struct SocketBody {
    /// Bytes of the body that were already received.
    pub first: VecDeque<Bytes>,
    /// The socket with the rest.
    pub stream: TcpStream,
    /// Bytes to read from the socket, without `first`.
    pub left: u64,
}

/// An object on another server, of which ranges can be requested.
#[async_trait(?Send)]
pub trait RangeSource {
    /// Requests `len` bytes from `offset`. Fails if the object is not the same as at the previous
    /// request (another entity tag or length), because the parts would not fit together.
    ///
    /// # Errors
    /// `NotFound` if the object does not exist; `Internal` if it has changed; `Unavailable` if a
    /// retry may succeed.
    async fn open(&mut self, offset: u64, len: u64) -> Result<RangeBody>;
}

/// Reads one range of an object.
pub struct RangeReader {
    source: Box<dyn RangeSource>,
    /// The current response body; `None` after a cut.
    part: Option<RangeBody>,
    offset: u64,
    left: u64,
    stall: Duration,
    most_resumes: u32,
    resumes: u32,
    /// Bytes received since the last cut.
    since_cut: u64,
    check: Option<DigestCheck>,
}

/// The hash of the bytes so far, and the digest that it must have at the end.
struct DigestCheck {
    hash: Md5Stream,
    wanted: [u8; DIGEST_BYTES],
}

/// Bytes that have arrived.
pub enum RangeChunk<'part> {
    /// Bytes in memory.
    Memory(Bytes),
    /// A socket that has bytes to read, or is at its end. The caller reads from it and reports
    /// the result to [`RangeReader::consumed`].
    Readable(&'part TcpStream),
}

impl RangeReader {
    /// Requests a range, and returns after the server has answered that it has the object.
    ///
    /// # Errors
    /// Those of [`RangeSource::open`].
    pub async fn open(mut source: Box<dyn RangeSource>, offset: u64, len: u64) -> Result<Self> {
        let part = source.open(offset, len).await?;
        Ok(Self {
            source,
            part: Some(part),
            offset,
            left: len,
            stall: DEFAULT_STALL,
            most_resumes: MOST_RESUMES,
            resumes: 0,
            since_cut: 0,
            check: None,
        })
    }

    /// Sets the digest of the whole range. The last bytes are returned only if it matches, so
    /// that no client receives a complete object with wrong data. Must be called before the
    /// first byte is read.
    pub fn with_digest(mut self, hash: Md5Stream, wanted: [u8; DIGEST_BYTES]) -> Self {
        self.check = Some(DigestCheck { hash, wanted });
        self
    }

    /// Returns true if a digest is set. The caller then calls [`RangeReader::hash`] and
    /// [`RangeReader::verify_end`] for bytes that it reads from the socket.
    pub fn has_digest(&self) -> bool {
        self.check.is_some()
    }

    /// Hashes bytes that were read from the socket.
    pub async fn hash(&mut self, bytes: Bytes) {
        if let Some(check) = &mut self.check {
            check.hash.push(bytes).await;
        }
    }

    /// Verifies the digest at the end of the range. Must be called before the bytes that were
    /// read last are passed on; does nothing before the end.
    ///
    /// # Errors
    /// `Internal` if the digest differs.
    pub async fn verify_end(&mut self) -> Result<()> {
        if self.left > 0 {
            return Ok(());
        }
        let Some(check) = self.check.take() else {
            return Ok(());
        };
        let digest = check.hash.finish().await.map_err(Error::internal)?;
        if digest == check.wanted {
            return Ok(());
        }
        metrics::integrity_failure();
        Err(Error::internal(
            "wrong data: the MD5 of the store's object differs from the image's record",
        ))
    }

    /// Sets the longest time without bytes.
    pub fn with_stall_limit(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Sets the number of consecutive resume attempts without progress.
    pub fn with_most_resumes(mut self, most: u32) -> Self {
        self.most_resumes = most;
        self
    }

    /// Returns the number of bytes that are not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Waits for bytes. Returns `None` after the last byte. After a cut, requests the rest.
    ///
    /// # Errors
    /// `Unavailable` if the server is silent for too long or the resume attempts are exhausted.
    pub async fn next_chunk(&mut self) -> Result<Option<RangeChunk<'_>>> {
        while self.left > 0 {
            let Some(mut part) = self.part.take() else {
                self.reopen().await?;
                continue;
            };
            let arrival = tokio::time::timeout(self.stall, part.arrival()).await;
            match arrival {
                Err(_) => return Err(silent(self.stall)),
                Ok(Err(cause)) => self.resume(Some(cause)).await?,
                Ok(Ok(BodyEvent::End)) => self.resume(None).await?,
                // `part` was taken out of `self` above. It is put back only here, so that a
                // cancelled or failed wait leaves a cut, after which the rest is requested again.
                Ok(Ok(BodyEvent::Bytes(bytes))) => {
                    self.part = Some(part);
                    self.count_received(bytes.len() as u64)?;
                    return Ok(Some(RangeChunk::Memory(bytes)));
                }
                Ok(Ok(BodyEvent::Socket)) => {
                    let part = self.part.insert(part);
                    return Ok(part.socket().map(RangeChunk::Readable));
                }
            }
        }
        Ok(None)
    }

    /// Returns the socket with the next bytes, if the current body is a socket.
    pub fn socket(&self) -> Option<&TcpStream> {
        self.part.as_ref().and_then(RangeBody::socket)
    }

    /// Reports the result of reading from the socket; zero bytes mean its end.
    ///
    /// # Errors
    /// `Unavailable` if the resume attempts are exhausted.
    pub async fn consumed(&mut self, taken: io::Result<usize>) -> Result<()> {
        match taken {
            Ok(0) => self.resume(None).await,
            Err(cause) => self.resume(Some(cause.into())).await,
            Ok(bytes) => {
                if let Some(RangeBody::Socket(part)) = &mut self.part {
                    part.left = part.left.saturating_sub(bytes as u64);
                }
                self.count_received(bytes as u64)
            }
        }
    }

    /// Reads the next bytes into memory. Returns `None` after the last.
    ///
    /// # Errors
    /// Those of [`RangeReader::next_chunk`].
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.next_at_most(READ_BYTES).await
    }

    /// Reads the next bytes into memory, at most `most_bytes` from a socket.
    ///
    /// # Errors
    /// Those of [`RangeReader::next_chunk`].
    pub(super) async fn next_at_most(&mut self, most_bytes: usize) -> Result<Option<Bytes>> {
        loop {
            let wanted = usize::try_from(self.left).map_or(most_bytes, |left| left.min(most_bytes));
            let stream = match self.next_chunk().await? {
                None => return Ok(None),
                Some(RangeChunk::Memory(bytes)) => return self.given(bytes).await,
                Some(RangeChunk::Readable(stream)) => stream,
            };
            let mut buffer = BytesMut::with_capacity(wanted).limit(wanted);
            match stream.try_read_buf(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    let has_bytes = matches!(result, Ok(read) if read > 0);
                    self.consumed(result).await?;
                    if has_bytes {
                        return self.given(buffer.into_inner().freeze()).await;
                    }
                }
            }
        }
    }

    async fn given(&mut self, bytes: Bytes) -> Result<Option<Bytes>> {
        self.hash(bytes.clone()).await;
        self.verify_end().await?;
        Ok(Some(bytes))
    }

    fn count_received(&mut self, bytes: u64) -> Result<()> {
        // The server does not respect the requested range, so its bytes cannot be trusted.
        if bytes > self.left {
            return Err(Error::internal(
                "the store sent more bytes than were requested",
            ));
        }
        self.offset += bytes;
        self.left -= bytes;
        self.since_cut += bytes;
        Ok(())
    }

    /// Requests the rest. A refused connection counts as a cut, because a server that restarts
    /// refuses connections for a moment.
    async fn reopen(&mut self) -> Result<()> {
        match self.source.open(self.offset, self.left).await {
            Ok(part) => {
                self.part = Some(part);
                Ok(())
            }
            Err(error) if matches!(error.kind(), Kind::Unavailable { .. }) => {
                let cause = error.cause().unwrap_or_else(|| error.to_string());
                self.resume(Some(cause.into())).await
            }
            Err(error) => Err(error),
        }
    }

    /// Drops a body that was cut. The next read requests the rest.
    ///
    /// # Errors
    /// `Unavailable` after too many attempts without progress.
    async fn resume(&mut self, cause: Option<BoxError>) -> Result<()> {
        self.part = None;
        // Progress since the last cut proves that resuming helps, so the attempts start again.
        if self.since_cut >= PROGRESS_BYTES {
            self.resumes = 0;
        }
        self.since_cut = 0;
        self.resumes += 1;
        if self.resumes > self.most_resumes {
            let error =
                unavailable("The connection to the store failed in the middle of the image.");
            return Err(match cause {
                Some(cause) => error.because(cause),
                None => error,
            });
        }
        tracing::warn!(
            offset = self.offset,
            left = self.left,
            cause = cause.map(|cause| cause.to_string()),
            "connection to the store cut; resuming the transfer"
        );
        tokio::time::sleep(RESUME_WAIT * (self.resumes - 1)).await;
        Ok(())
    }
}

enum BodyEvent {
    Bytes(Bytes),
    /// The socket is readable or at its end.
    Socket,
    End,
}

impl RangeBody {
    async fn arrival(&mut self) -> std::result::Result<BodyEvent, BoxError> {
        match self {
            RangeBody::Stream(frames) => next_frame(frames).await,
            RangeBody::Socket(part) => {
                if let Some(bytes) = part.first.pop_front() {
                    return Ok(BodyEvent::Bytes(bytes));
                }
                if part.left == 0 {
                    return Ok(BodyEvent::End);
                }
                part.stream.readable().await?;
                Ok(BodyEvent::Socket)
            }
        }
    }

    fn socket(&self) -> Option<&TcpStream> {
        match self {
            RangeBody::Socket(part) => Some(&part.stream),
            RangeBody::Stream(_) => None,
        }
    }
}

async fn next_frame(frames: &mut HttpBody) -> std::result::Result<BodyEvent, BoxError> {
    loop {
        match frames.frame().await.transpose()? {
            None => return Ok(BodyEvent::End),
            // Trailers are ignored.
            Some(frame) => match frame.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(BodyEvent::Bytes(bytes)),
                _ => {}
            },
        }
    }
}

impl fmt::Debug for RangeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeReader")
            .field("offset", &self.offset)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

fn silent(limit: Duration) -> Error {
    unavailable("The store stopped sending in the middle of the image.")
        .because(format!("no bytes received for {} s", limit.as_secs()))
}

fn unavailable(message: &str) -> Error {
    let retry_after = Duration::from_secs(30);
    Error::new(Kind::Unavailable { retry_after }, message)
}
