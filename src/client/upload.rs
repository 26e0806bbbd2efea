//! The data of an upload: read from memory, an asynchronous reader or a blocking one, hashed while
//! they are read, and handed to the HTTP client chunk by chunk.

use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use super::progress::ProgressReporter;
use crate::image::Md5Digest;
use crate::md5::Md5;
use crate::runtime;

/// Bytes read from a source at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that a reading thread may be ahead of the connection.
const CHUNKS_AHEAD: usize = 4;

/// The data of an upload and their length, if known.
///
/// A blocking reader (a file, a pipe) is read and hashed on a thread of its own, which is the
/// fastest way to send a file; an asynchronous one is read on the caller's runtime.
pub struct Upload {
    length_bytes: Option<u64>,
    source: UploadSource,
    progress: ProgressReporter,
}

enum UploadSource {
    Bytes(Bytes),
    Async(Pin<Box<dyn AsyncRead + Send>>),
    Blocking(Box<dyn Read + Send>),
}

impl Upload {
    /// Makes an upload of data in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(Some(bytes.len() as u64), UploadSource::Bytes(bytes))
    }

    /// Makes an upload of an asynchronous reader. If `length_bytes` is given, exactly that many
    /// bytes are sent; otherwise all bytes are sent, chunked.
    pub fn from_async_reader(
        reader: impl AsyncRead + Send + 'static,
        length_bytes: Option<u64>,
    ) -> Self {
        Self::new(length_bytes, UploadSource::Async(Box::pin(reader)))
    }

    /// Makes an upload of a blocking reader; the length is as for [`Upload::from_async_reader`].
    pub fn from_reader(reader: impl Read + Send + 'static, length_bytes: Option<u64>) -> Self {
        Self::new(length_bytes, UploadSource::Blocking(Box::new(reader)))
    }

    /// Reports the bytes as they are sent.
    pub fn with_progress(mut self, progress: ProgressReporter) -> Self {
        self.progress = progress;
        self
    }

    /// Returns the number of bytes, if known.
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

    /// Returns the reader of the data. It reads nothing before the first chunk is requested.
    pub(super) fn into_reader(self) -> UploadReader {
        UploadReader {
            source: match self.source {
                UploadSource::Bytes(bytes) => ReaderSource::Bytes(bytes),
                UploadSource::Async(reader) => ReaderSource::Async(reader),
                UploadSource::Blocking(reader) => ReaderSource::Idle(reader),
            },
            length_bytes: self.length_bytes,
            read_bytes: 0,
            md5: Md5::default(),
            is_complete: false,
            progress: self.progress,
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("length_bytes", &self.length_bytes)
            .finish_non_exhaustive()
    }
}

/// Reads and hashes the data of an upload.
pub(super) struct UploadReader {
    source: ReaderSource,
    /// The number of bytes that the source must yield; if `None`, all that it has.
    length_bytes: Option<u64>,
    read_bytes: u64,
    md5: Md5,
    is_complete: bool,
    progress: ProgressReporter,
}

enum ReaderSource {
    Bytes(Bytes),
    Async(Pin<Box<dyn AsyncRead + Send>>),
    /// A blocking reader whose thread is not started yet.
    Idle(Box<dyn Read + Send>),
    /// A thread that reads and hashes. It returns the state of the hash at its end.
    Thread(mpsc::Receiver<io::Result<Bytes>>, Option<JoinHandle<Md5>>),
}

impl UploadReader {
    /// Returns the next chunk, or `None` at the end of the data.
    ///
    /// # Errors
    /// The source's error, or `UnexpectedEof` if it ends before its length.
    pub(super) async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let left = self.left_bytes();
        let chunk = match left {
            0 => Bytes::new(),
            left => self.read(left).await?,
        };
        self.read_bytes += chunk.len() as u64;
        self.progress.add(chunk.len() as u64);
        if !chunk.is_empty() {
            return Ok(Some(chunk));
        }
        match self.length_bytes {
            Some(_) if left > 0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the data ended {left} bytes early; were they changed during the upload?"),
            )),
            _ => {
                self.is_complete = true;
                Ok(None)
            }
        }
    }

    /// Returns the MD5 of the data once [`UploadReader::chunk`] has returned their end.
    pub(super) fn digest(self) -> Option<Md5Digest> {
        let md5 = match self.source {
            // The thread has closed its channel and is about to return.
            ReaderSource::Thread(_, Some(thread)) if self.is_complete => thread.join().ok()?,
            _ => self.md5,
        };
        self.is_complete.then(|| md5.finalize())
    }

    fn left_bytes(&self) -> u64 {
        let length = self.length_bytes.unwrap_or(u64::MAX);
        length.saturating_sub(self.read_bytes)
    }

    /// Reads at most `max_bytes`; returns no bytes at the end of the source.
    async fn read(&mut self, max_bytes: u64) -> io::Result<Bytes> {
        if let ReaderSource::Idle(_) = self.source {
            self.start_thread(max_bytes)?;
        }
        let most = CHUNK_BYTES.min(usize::try_from(max_bytes).unwrap_or(usize::MAX));
        let chunk = match &mut self.source {
            ReaderSource::Bytes(bytes) => bytes.split_to(bytes.len().min(most)),
            ReaderSource::Async(reader) => {
                let mut storage = vec![0; most];
                let length = reader.read(&mut storage).await?;
                storage.truncate(length);
                Bytes::from(storage)
            }
            ReaderSource::Thread(chunks, _) => {
                return chunks.recv().await.unwrap_or_else(|| Ok(Bytes::new()));
            }
            // Replaced by `start_thread`.
            ReaderSource::Idle(_) => Bytes::new(),
        };
        self.md5.update(&chunk);
        Ok(chunk)
    }

    /// Moves a blocking reader to a thread of its own. The runtime's pool would wait for the thread
    /// when the process ends, and a pipe may never end.
    fn start_thread(&mut self, max_bytes: u64) -> io::Result<()> {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let thread = ReaderSource::Thread(chunks, None);
        let ReaderSource::Idle(reader) = std::mem::replace(&mut self.source, thread) else {
            return Ok(());
        };
        let reader = reader.take(max_bytes);
        let started = runtime::spawn("upload-reader", move || read_all(reader, &sender))?;
        if let ReaderSource::Thread(_, thread) = &mut self.source {
            *thread = Some(started);
        }
        Ok(())
    }
}

/// The reading thread: reads, hashes and passes on chunks until the end of the source, an error,
/// or the end of the upload. Returns the state of the hash.
fn read_all(mut reader: impl Read, chunks: &mpsc::Sender<io::Result<Bytes>>) -> Md5 {
    let mut md5 = Md5::default();
    loop {
        let mut storage = vec![0; CHUNK_BYTES];
        let chunk = match reader.read(&mut storage) {
            Ok(0) => return md5,
            Ok(length) => {
                storage.truncate(length);
                md5.update(&storage);
                Ok(Bytes::from(storage))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = chunk.is_err();
        if chunks.blocking_send(chunk).is_err() || is_last {
            return md5;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Checksum;

    fn read(upload: Upload) -> (io::Result<Vec<u8>>, Option<Md5Digest>) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let mut reader = upload.into_reader();
        let mut all = Vec::new();
        let read = loop {
            match runtime.block_on(reader.chunk()) {
                Ok(Some(chunk)) => all.extend_from_slice(&chunk),
                Ok(None) => break Ok(all),
                Err(error) => break Err(error),
            }
        };
        (read, reader.digest())
    }

    #[test]
    fn every_source_is_read_and_hashed_alike() {
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
            let (read, digest) = read(upload);
            assert_eq!(read.unwrap(), data);
            let mut md5 = Md5::default();
            md5.update(&data);
            let wanted = Checksum::of(&md5.finalize());
            assert_eq!(Checksum::of(&digest.expect("complete")), wanted);
        }
    }

    #[test]
    fn source_that_grew_is_cut_at_its_length() {
        let (read, _) = read(Upload::from_reader(io::Cursor::new(b"abcdef"), Some(3)));
        assert_eq!(read.unwrap(), b"abc");
    }

    #[test]
    fn source_that_shrank_is_an_error() {
        for upload in [
            Upload::from_reader(io::Cursor::new(b"ab"), Some(3)),
            Upload::from_async_reader(io::Cursor::new(b"ab"), Some(3)),
        ] {
            let (read, digest) = read(upload);
            assert!(read.is_err());
            assert!(digest.is_none());
        }
    }
}
