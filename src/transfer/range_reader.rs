//! Bytes that another server holds: how they arrive, and how they go on after a cut.

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

/// What an HTTP library makes of a body that is not on a plain socket.
pub type HttpBody = UnsyncBoxBody<Bytes, BoxError>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Times an object may be asked for again, at the byte where it was cut, without progress
/// worth the name between, unless said otherwise.
const MOST_RESUMES: u32 = 3;

/// Progress worth the name. An origin that hands out an object byte by byte, a connection
/// each, is given up; one that is cut now and then is not.
const PROGRESS_BYTES: u64 = 1 << 20;

/// The wait before a second request without progress; longer before each further one.
const RESUME_WAIT: Duration = Duration::from_millis(500);

/// Bytes that are read from a socket at a time where the caller wants them in memory.
const READ_BYTES: usize = 256 * 1024;

/// How long an origin may be silent in the middle of an object, unless said otherwise.
pub const DEFAULT_STALL: Duration = Duration::from_secs(60);

/// One answer of an origin: bytes of an object, from the offset it was asked for on.
pub enum RangeBody {
    /// As they come out of TLS, of chunks, or of a library.
    Stream(HttpBody),
    /// As they stand in a socket, for the kernel to move.
    Socket(SocketBody),
}

/// A plain socket whose next bytes are an object's, and nothing else.
pub struct SocketBody {
    /// Bytes that were received already.
    pub first: VecDeque<Bytes>,
    /// The socket they came from.
    pub stream: TcpStream,
    /// Bytes still to be read from the socket, `first` not counted.
    pub left: u64,
}

/// Somebody who can be asked for a range of one object, again if need be.
#[async_trait(?Send)]
pub trait RangeSource {
    /// The `len` bytes from `offset` on, of the same object as the time before: an origin
    /// that sees another entity tag or length refuses.
    ///
    /// # Errors
    /// `NotFound` when the object is not there; `Internal` when it is not what it was;
    /// `Unavailable` when trying again is right.
    async fn open(&mut self, offset: u64, len: u64) -> Result<RangeBody>;
}

/// A range of an object at an origin, under way.
pub struct RangeReader {
    origin: Box<dyn RangeSource>,
    /// `None` after a cut.
    part: Option<RangeBody>,
    offset: u64,
    left: u64,
    stall: Duration,
    most_resumes: u32,
    resumes: u32,
    /// Bytes that have come since an origin last broke off.
    since_cut: u64,
    check: Option<Check>,
}

/// What the object must be. The last bytes are kept back until it is.
struct Check {
    hash: Md5Stream,
    wanted: [u8; DIGEST_BYTES],
}

/// What has arrived.
pub enum RangeChunk<'part> {
    /// Bytes in memory.
    Memory(Bytes),
    /// A socket that has something to read, or its end. [`RangeReader::consumed`] is to be told what
    /// was taken off it.
    Readable(&'part TcpStream),
}

impl RangeReader {
    /// Asks the origin, and returns when it has said that it has the object.
    ///
    /// # Errors
    /// Those of [`RangeSource::open`].
    pub async fn open(mut origin: Box<dyn RangeSource>, offset: u64, len: u64) -> Result<Self> {
        let part = origin.open(offset, len).await?;
        Ok(Self {
            origin,
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

    /// With the digest of all that will come: the last bytes are given out only when it is
    /// this one, so that nobody ever holds a complete wrong object. To be said before the
    /// first byte was taken.
    pub fn with_digest(mut self, hash: Md5Stream, wanted: [u8; DIGEST_BYTES]) -> Self {
        self.check = Some(Check { hash, wanted });
        self
    }

    /// Whether [`RangeReader::hash`] and [`RangeReader::verify_end`] are to be called for what was taken off
    /// the socket.
    pub fn has_digest(&self) -> bool {
        self.check.is_some()
    }

    /// The next bytes of those that were taken off the socket.
    pub async fn hash(&mut self, bytes: Bytes) {
        if let Some(check) = &mut self.check {
            check.hash.push(bytes).await;
        }
    }

    /// To be called before what was taken last is passed on.
    ///
    /// # Errors
    /// `Internal` when these were the last bytes and the object is not what it must be.
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
            "the store's object is not what the registry says: its MD5 is another",
        ))
    }

    /// With another limit to the origin's silence.
    pub fn with_stall_limit(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// With another number of times that a cut is mended without a byte of progress between.
    pub fn with_most_resumes(mut self, most: u32) -> Self {
        self.most_resumes = most;
        self
    }

    /// Bytes that have not been taken yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Waits until something has arrived; `None` after the last byte. A part that was cut
    /// is asked for again from where it ended.
    ///
    /// # Errors
    /// `Unavailable` when the origin does not go on.
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

    /// The socket in which the next bytes stand, when they stand in one.
    pub fn socket(&self) -> Option<&TcpStream> {
        self.part.as_ref().and_then(RangeBody::socket)
    }

    /// So many bytes were taken off the socket; zero says that it has ended.
    ///
    /// # Errors
    /// `Unavailable` when it ended too early too often.
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

    /// The next bytes in memory, `None` after the last.
    ///
    /// # Errors
    /// Those of [`RangeReader::next_chunk`].
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.next_at_most(READ_BYTES).await
    }

    /// As [`RangeReader::next`]; at most `most_bytes` are read from a socket.
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
                    let is_progress = matches!(result, Ok(read) if read > 0);
                    self.consumed(result).await?;
                    if is_progress {
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
        if bytes > self.left {
            return Err(Error::internal("the origin sent more than was asked for"));
        }
        self.offset += bytes;
        self.left -= bytes;
        self.since_cut += bytes;
        Ok(())
    }

    /// Asks for what is left. An origin that restarts refuses connections for a moment.
    async fn reopen(&mut self) -> Result<()> {
        match self.origin.open(self.offset, self.left).await {
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

    /// Lets go of a part that was cut. What is left is asked for again, unless that did not
    /// help before.
    async fn resume(&mut self, cause: Option<BoxError>) -> Result<()> {
        self.part = None;
        if self.since_cut >= PROGRESS_BYTES {
            self.resumes = 0;
        }
        self.since_cut = 0;
        self.resumes += 1;
        if self.resumes > self.most_resumes {
            let error = unavailable("The store broke off in the middle of the image.");
            return Err(match cause {
                Some(cause) => error.because(cause),
                None => error,
            });
        }
        tracing::warn!(
            offset = self.offset,
            left = self.left,
            cause = cause.map(|cause| cause.to_string()),
            "an origin broke off; it is asked for the rest"
        );
        tokio::time::sleep(RESUME_WAIT * (self.resumes - 1)).await;
        Ok(())
    }
}

enum BodyEvent {
    Bytes(Bytes),
    /// The socket is readable, or at its end.
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
            // Trailers say nothing that anybody asked for.
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
    unavailable("The store sends nothing any more.")
        .because(format!("no byte for {} s", limit.as_secs()))
}

fn unavailable(message: &str) -> Error {
    let retry_after = Duration::from_secs(30);
    Error::new(Kind::Unavailable { retry_after }, message)
}
