//! The data of an image on their way to a server.

use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

use super::gate::Gate;
use super::io::SourceWait;
use super::progress::ProgressReporter;
use crate::image::Md5Digest;
use crate::md5::Md5;

/// Bytes read from a source at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that a reading thread may be ahead of the socket.
const CHUNKS_AHEAD: usize = 4;

/// Where the data of an upload come from.
///
/// A blocking reader (a file, a pipe) is read and hashed on a thread of its own, which is
/// the fastest way to send a file; an asynchronous one is read on the caller's runtime.
pub struct Upload {
    length_bytes: Option<u64>,
    source: UploadSource,
    progress: ProgressReporter,
}

enum UploadSource {
    Bytes(Bytes),
    Async(Pin<Box<dyn AsyncRead + Send>>),
    Blocking(Box<dyn Read + Send>),
    Thread(mpsc::Receiver<io::Result<Bytes>>),
}

impl Upload {
    /// Data in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(Some(bytes.len() as u64), UploadSource::Bytes(bytes))
    }

    /// Data from an asynchronous reader. With a length exactly so many bytes are sent;
    /// without one (`None`) they are sent chunked, to the end.
    pub fn from_async_reader(
        reader: impl AsyncRead + Send + 'static,
        length_bytes: Option<u64>,
    ) -> Self {
        Self::new(length_bytes, UploadSource::Async(Box::pin(reader)))
    }

    /// Data from a blocking reader; the length as in [`Upload::from_async_reader`].
    pub fn from_reader(reader: impl Read + Send + 'static, length_bytes: Option<u64>) -> Self {
        Self::new(length_bytes, UploadSource::Blocking(Box::new(reader)))
    }

    /// Reports the bytes as they go.
    pub fn with_progress(mut self, progress: ProgressReporter) -> Self {
        self.progress = progress;
        self
    }

    /// How many bytes there are, where that is known.
    pub fn length_bytes(&self) -> Option<u64> {
        self.length_bytes
    }

    fn new(length_bytes: Option<u64>, source: UploadSource) -> Self {
        Self {
            length_bytes,
            source,
            progress: ProgressReporter::default(),
        }
    }

    /// The body of the request, and the view that remains when hyper owns the body.
    pub(super) fn into_body(self, wait: SourceWait) -> (UploadBody, UploadWatch) {
        let watch = UploadWatch {
            gate: Gate::closed(),
            state: Arc::default(),
        };
        // A Content-Length of zero would make a reservation of it (v1): an empty upload
        // goes as an empty chunked body.
        let announced = self.length_bytes.filter(|length| *length > 0);
        let body = UploadBody {
            source: self.source,
            announced,
            remaining: self.length_bytes.unwrap_or(u64::MAX),
            bounded: self.length_bytes.is_some(),
            ended: false,
            watch: watch.clone(),
            progress: self.progress,
            wait,
        };
        (body, watch)
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("length_bytes", &self.length_bytes)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct UploadState {
    md5: Md5,
    complete: bool,
    source_error: Option<io::Error>,
}

/// What can be known of an upload from outside while it is sent, and afterwards.
#[derive(Clone)]
pub(super) struct UploadWatch {
    pub(super) gate: Gate,
    state: Arc<Mutex<UploadState>>,
}

impl UploadWatch {
    /// The MD5 of the bytes, once all of them have been handed over.
    pub(super) fn digest(&self) -> Option<Md5Digest> {
        let state = self.lock();
        state.complete.then(|| state.md5.clone().finalize())
    }

    /// Why the source could not be read, if it could not.
    pub(super) fn take_source_error(&self) -> Option<io::Error> {
        self.lock().source_error.take()
    }

    fn lock(&self) -> MutexGuard<'_, UploadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request body that hyper polls.
pub(super) struct UploadBody {
    source: UploadSource,
    /// The Content-Length, where there is one.
    announced: Option<u64>,
    /// Bytes still to be taken from the source.
    remaining: u64,
    /// Whether the source must yield exactly what was announced.
    bounded: bool,
    ended: bool,
    watch: UploadWatch,
    progress: ProgressReporter,
    wait: SourceWait,
}

impl UploadBody {
    /// The Content-Length; without one the body is chunked.
    pub(super) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The next bytes of the source; none at its end.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if let UploadSource::Blocking(_) = self.source {
            self.start_thread()?;
        }
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let chunk = match &mut self.source {
            UploadSource::Bytes(bytes) => bytes.split_to(bytes.len().min(CHUNK_BYTES)),
            UploadSource::Async(reader) => ready!(poll_chunk(reader, most, cx))?,
            UploadSource::Thread(chunks) => {
                return match ready!(chunks.poll_recv(cx)) {
                    Some(chunk) => Poll::Ready(chunk.map(Some)),
                    None => Poll::Ready(Ok(None)),
                };
            }
            // Replaced above.
            UploadSource::Blocking(_) => Bytes::new(),
        };
        self.watch.lock().md5.update(&chunk);
        Poll::Ready(Ok((!chunk.is_empty()).then_some(chunk)))
    }

    /// Moves a blocking reader to a thread of its own. A plain thread, not the runtime's
    /// pool: a pipe that never ends must not keep the process from ending.
    fn start_thread(&mut self) -> io::Result<()> {
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let UploadSource::Blocking(reader) =
            std::mem::replace(&mut self.source, UploadSource::Thread(receiver))
        else {
            return Ok(());
        };
        let reader = reader.take(self.remaining);
        let watch = self.watch.clone();
        thread::Builder::new()
            .name("upload-reader".to_owned())
            .spawn(move || read_all(reader, &watch, &sender))?;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.ended = true;
        if self.bounded && self.remaining > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!(
                    "the data ended {} bytes early; were they changed meanwhile?",
                    self.remaining
                ),
            ));
        }
        self.watch.lock().complete = true;
        Ok(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.remaining == 0 {
            return Poll::Ready(self.finish().map(|()| None));
        }
        match ready!(self.poll_source(cx))? {
            Some(chunk) => {
                self.remaining -= chunk.len() as u64;
                self.progress.add(chunk.len() as u64);
                if self.remaining == 0 {
                    self.finish()?;
                }
                Poll::Ready(Ok(Some(chunk)))
            }
            None => Poll::Ready(self.finish().map(|()| None)),
        }
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // Waiting at the gate is waiting for the server, and counts as its silence.
        self.wait.set(false);
        ready!(self.watch.gate.poll_open(cx));
        self.wait.set(true);
        let next = ready!(self.poll_next(cx));
        self.wait.set(false);
        match next {
            Ok(chunk) => Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk)))),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.watch.lock().source_error = Some(error);
                Poll::Ready(Some(Err(copy)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.announced
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Reads one chunk, at most `most` bytes; empty at the end of the source.
fn poll_chunk(
    reader: &mut Pin<Box<dyn AsyncRead + Send>>,
    most: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Bytes>> {
    let mut storage = vec![0; CHUNK_BYTES.min(most)];
    let mut buffer = ReadBuf::new(&mut storage);
    ready!(reader.as_mut().poll_read(cx, &mut buffer))?;
    let length = buffer.filled().len();
    storage.truncate(length);
    Poll::Ready(Ok(Bytes::from(storage)))
}

/// The reading thread: read, hash, hand over, until the end or until nobody wants more.
fn read_all(mut reader: impl Read, watch: &UploadWatch, chunks: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut storage = vec![0; CHUNK_BYTES];
        let outcome = match reader.read(&mut storage) {
            Ok(0) => return,
            Ok(length) => {
                storage.truncate(length);
                watch.lock().md5.update(&storage);
                Ok(Bytes::from(storage))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = outcome.is_err();
        if chunks.blocking_send(outcome).is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::image::Checksum;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    fn send(upload: Upload) -> (io::Result<Bytes>, UploadWatch) {
        let (body, watch) = upload.into_body(SourceWait::default());
        watch.gate.open();
        let sent = runtime().block_on(body.collect());
        (sent.map(|sent| sent.to_bytes()), watch)
    }

    #[test]
    fn every_source_sends_and_hashes_the_same() {
        let data = vec![7; 3 * CHUNK_BYTES + 5];
        let length = Some(data.len() as u64);
        let reader = || io::Cursor::new(data.clone());
        for upload in [
            Upload::from_bytes(data.clone()),
            Upload::from_reader(reader(), length),
            Upload::from_reader(reader(), None),
            Upload::from_async_reader(reader(), length),
            Upload::from_async_reader(reader(), None),
        ] {
            let (sent, watch) = send(upload);
            assert_eq!(sent.unwrap(), data);
            let digest = watch.digest().expect("complete");
            let mut md5 = Md5::default();
            md5.update(&data);
            assert_eq!(Checksum::of(&digest), Checksum::of(&md5.finalize()));
        }
    }

    #[test]
    fn a_source_that_grew_is_cut_at_its_length() {
        let (sent, _) = send(Upload::from_reader(io::Cursor::new(b"abcdef"), Some(3)));
        assert_eq!(sent.unwrap(), "abc");
    }

    #[test]
    fn a_source_that_shrank_is_an_error() {
        for upload in [
            Upload::from_reader(io::Cursor::new(b"ab"), Some(3)),
            Upload::from_async_reader(io::Cursor::new(b"ab"), Some(3)),
        ] {
            let (sent, watch) = send(upload);
            assert!(sent.is_err());
            assert!(watch.digest().is_none());
            assert!(watch.take_source_error().is_some());
        }
    }

    #[test]
    fn an_empty_upload_is_a_body_all_the_same() {
        let (body, _) = Upload::from_bytes("").into_body(SourceWait::default());
        assert_eq!(body.announced(), None);
        assert!(!body.is_end_stream());
    }
}
