//! The body of a web server's response, cut down to the requested bytes.
//!
//! A server may ignore `Range` and send the whole object, and it may state no length. This module
//! skips the bytes before the requested ones, stops after them, and verifies the length of an
//! object whose server states none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::transfer::{HttpBody, RangeBody, SocketBody};

/// Size of the reads that discard bytes from a socket.
const DISCARD_BYTES: u64 = 256 * 1024;

/// The bytes of a response's body that a reader wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyCut {
    /// Bytes to discard from the start of the body.
    pub(super) skip: u64,
    /// Bytes to pass on after that; `None` for all.
    pub(super) take: Option<u64>,
    /// Length that the body must have, for a response that states none.
    pub(super) unstated_len: Option<u64>,
    /// Longest silence of the server while bytes are discarded.
    pub(super) stall_limit: Duration,
}

impl BodyCut {
    /// Discards the bytes to skip, and returns the body that yields the wanted ones.
    ///
    /// The bytes are discarded here and not while the body is read, because the limit of the reader
    /// for a silent server would count the whole time of discarding as silence.
    ///
    /// # Errors
    /// An error if the body ends before or breaks; `TimedOut` after a silence.
    pub(super) async fn apply(self, body: RangeBody) -> io::Result<RangeBody> {
        match body {
            RangeBody::Stream(stream) => {
                let mut cut = CutBody::new(stream, self);
                cut.discard(self.skip, self.stall_limit).await?;
                Ok(RangeBody::Stream(cut.boxed_unsync()))
            }
            // Only a response that states its length is handed over as a socket.
            RangeBody::Socket(mut socket) => {
                discard_from_socket(&mut socket, self.skip, self.stall_limit).await?;
                if let Some(len) = self.take {
                    truncate_socket(&mut socket, len);
                }
                Ok(RangeBody::Socket(socket))
            }
        }
    }
}

/// A body that yields part of another one, and verifies the length of the whole.
struct CutBody {
    stream: HttpBody,
    /// The rest of a chunk of which the first bytes were discarded.
    pending: Option<Bytes>,
    /// Bytes still to pass on; `None` for all.
    take: Option<u64>,
    /// Bytes that must still arrive, if the response states no length.
    missing: Option<u64>,
    /// The chunk that completes an unstated length, held back until the body has ended.
    held_back: Option<Bytes>,
}

/// The body does not have the length of the object.
#[derive(Debug, thiserror::Error)]
enum WrongLength {
    #[error("the object has more bytes than the registry says")]
    Longer,
    #[error("the object has {0} bytes fewer than the registry says")]
    Shorter(u64),
}

type BodyError = <HttpBody as Body>::Error;

impl CutBody {
    fn new(stream: HttpBody, cut: BodyCut) -> Self {
        Self {
            stream,
            pending: None,
            take: cut.take,
            missing: cut.unstated_len,
            held_back: None,
        }
    }

    /// Reads and discards `len` bytes; `stall_limit` bounds the wait for each chunk.
    async fn discard(&mut self, len: u64, stall_limit: Duration) -> io::Result<()> {
        let mut left = len;
        while left > 0 {
            let chunk = std::future::poll_fn(|cx| self.poll_chunk(cx));
            let chunk = timeout(stall_limit, chunk).await?;
            let chunk = chunk.ok_or(io::ErrorKind::UnexpectedEof)?;
            let mut bytes = chunk.map_err(io::Error::other)?;
            let discarded = left.min(bytes.len() as u64);
            left -= discarded;
            // At most the length of the chunk, which fits.
            bytes.advance(discarded as usize);
            self.pending = Some(bytes).filter(|bytes| !bytes.is_empty());
        }
        Ok(())
    }

    /// Returns the next chunk of the whole body. If its length is not stated, the last chunk is
    /// held back until the body has ended: a reader must not take an object for complete that is
    /// longer.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.stream).poll_frame(cx));
            let Some(frame) = frame.transpose()? else {
                return Poll::Ready(match self.missing {
                    Some(missing) if missing > 0 => Some(Err(WrongLength::Shorter(missing).into())),
                    _ => self.held_back.take().map(Ok),
                });
            };
            // Trailers carry nothing of the object.
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            let Some(missing) = &mut self.missing else {
                return Poll::Ready(Some(Ok(bytes)));
            };
            let Some(left) = missing.checked_sub(bytes.len() as u64) else {
                return Poll::Ready(Some(Err(WrongLength::Longer.into())));
            };
            *missing = left;
            if left > 0 {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if !bytes.is_empty() {
                self.held_back = Some(bytes);
            }
        }
    }
}

impl Body for CutBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.take == Some(0) {
            return Poll::Ready(None);
        }
        let chunk = match self.pending.take() {
            Some(bytes) => Some(Ok(bytes)),
            None => ready!(self.poll_chunk(cx)),
        };
        Poll::Ready(chunk.map(|chunk| {
            let mut bytes = chunk?;
            if let Some(take) = &mut self.take {
                truncate(&mut bytes, *take);
                *take -= bytes.len() as u64;
            }
            Ok(Frame::data(bytes))
        }))
    }
}

fn truncate(bytes: &mut Bytes, max_bytes: u64) {
    bytes.truncate(usize::try_from(max_bytes).unwrap_or(usize::MAX));
}

/// Discards `len` bytes, first of those that were read with the head, then from the socket.
async fn discard_from_socket(
    body: &mut SocketBody,
    len: u64,
    stall_limit: Duration,
) -> io::Result<()> {
    let mut left = len;
    while left > 0
        && let Some(mut bytes) = body.first.pop_front()
    {
        let discarded = left.min(bytes.len() as u64);
        left -= discarded;
        bytes.advance(discarded as usize);
        if !bytes.is_empty() {
            body.first.push_front(bytes);
        }
    }
    if left > body.left {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut buffer = vec![0; left.min(DISCARD_BYTES) as usize];
    while left > 0 {
        timeout(stall_limit, body.stream.readable()).await??;
        let most = left.min(DISCARD_BYTES) as usize;
        match body.stream.try_read(&mut buffer[..most]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                left -= read as u64;
                body.left -= read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Limits a body to its first `len` bytes.
fn truncate_socket(body: &mut SocketBody, len: u64) {
    let mut left = len;
    for bytes in &mut body.first {
        truncate(bytes, left);
        left -= bytes.len() as u64;
    }
    body.first.retain(|bytes| !bytes.is_empty());
    body.left = body.left.min(left);
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const STALL_LIMIT: Duration = Duration::from_secs(60);

    /// A body that yields these chunks.
    struct Chunks(VecDeque<Bytes>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn abcdef() -> VecDeque<Bytes> {
        VecDeque::from([Bytes::from_static(b"abc"), Bytes::from_static(b"def")])
    }

    async fn cut(skip: u64, take: Option<u64>, unstated_len: Option<u64>) -> Result<Bytes, String> {
        let cut = BodyCut {
            skip,
            take,
            unstated_len,
            stall_limit: STALL_LIMIT,
        };
        let body = RangeBody::Stream(Chunks(abcdef()).boxed_unsync());
        match cut.apply(body).await.map_err(|error| error.to_string())? {
            RangeBody::Stream(stream) => {
                let collected = stream.collect().await.map_err(|error| error.to_string());
                Ok(collected?.to_bytes())
            }
            RangeBody::Socket(_) => panic!("a stream stays a stream"),
        }
    }

    #[tokio::test]
    async fn streams_are_cut_at_both_ends() {
        for (skip, take, wanted) in [
            (0, None, "abcdef"),
            (0, Some(0), ""),
            (0, Some(3), "abc"),
            (0, Some(9), "abcdef"),
            (2, Some(3), "cde"),
            (3, None, "def"),
            (6, None, ""),
        ] {
            let cut = cut(skip, take, None).await.unwrap();
            assert_eq!(cut, wanted, "{skip} {take:?}");
        }
        assert!(cut(7, None, None).await.is_err());
    }

    #[tokio::test]
    async fn unstated_lengths_must_be_exact() {
        for (skip, take, wanted) in [(0, None, "abcdef"), (2, None, "cdef"), (1, Some(3), "bcd")] {
            let cut = cut(skip, take, Some(6)).await.unwrap();
            assert_eq!(cut, wanted, "{skip} {take:?}");
        }
        let longer = cut(0, None, Some(5)).await.unwrap_err();
        assert!(longer.contains("more bytes"), "{longer}");
        let shorter = cut(0, None, Some(8)).await.unwrap_err();
        assert!(shorter.contains("2 bytes fewer"), "{shorter}");
        assert!(cut(6, None, Some(5)).await.is_err());
    }

    #[tokio::test]
    async fn sockets_are_cut_at_both_ends() {
        for (skip, held, left) in [(2, "c", 6), (3, "", 6), (7, "", 2), (9, "", 0)] {
            let mut body = socket_body().await;
            discard_from_socket(&mut body, skip, STALL_LIMIT)
                .await
                .unwrap();
            let first: Vec<u8> = body.first.iter().flatten().copied().collect();
            assert_eq!((first.as_slice(), body.left), (held.as_bytes(), left));
        }
        for (take, held, left) in [(2, 2, 0), (3, 3, 0), (5, 3, 2), (99, 3, 6)] {
            let mut body = socket_body().await;
            truncate_socket(&mut body, take);
            let first: usize = body.first.iter().map(Bytes::len).sum();
            assert_eq!((first, body.left), (held, left), "{take}");
        }
    }

    /// A body with "abc" read already and "defghi" in the socket.
    async fn socket_body() -> SocketBody {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        accepted.unwrap().0.write_all(b"defghi").await.unwrap();
        SocketBody {
            first: VecDeque::from([Bytes::from_static(b"abc")]),
            stream: stream.unwrap(),
            left: 6,
        }
    }
}
