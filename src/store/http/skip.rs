//! An answer without its first bytes, for servers that know no ranges.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::transfer::{HttpBody, RangeBody, SocketBody};

/// Bytes that are read from a socket at a time.
const READ_BYTES: u64 = 256 * 1024;

/// Reads and discards the first `len` bytes of a part; `stall` bounds each silence.
///
/// # Errors
/// When the part ends or breaks off before, and `TimedOut` after a silence.
pub(super) async fn skip(part: RangeBody, len: u64, stall: Duration) -> io::Result<RangeBody> {
    match part {
        _ if len == 0 => Ok(part),
        RangeBody::Stream(frames) => skip_frames(frames, len, stall).await,
        RangeBody::Socket(part) => skip_socket(part, len, stall).await.map(RangeBody::Socket),
    }
}

async fn skip_frames(mut frames: HttpBody, len: u64, stall: Duration) -> io::Result<RangeBody> {
    let mut left = len;
    loop {
        let frame = timeout(stall, frames.frame()).await?;
        let frame = frame.ok_or(io::ErrorKind::UnexpectedEof)?;
        let Ok(mut bytes) = frame.map_err(io::Error::other)?.into_data() else {
            continue;
        };
        if bytes.len() as u64 > left {
            // Below the length of the bytes, which fits.
            bytes.advance(left as usize);
            let first = Some(bytes);
            return Ok(RangeBody::Stream(Preceded { first, frames }.boxed_unsync()));
        }
        left -= bytes.len() as u64;
        if left == 0 {
            return Ok(RangeBody::Stream(frames));
        }
    }
}

async fn skip_socket(mut part: SocketBody, len: u64, stall: Duration) -> io::Result<SocketBody> {
    let mut left = len;
    while left > 0
        && let Some(mut bytes) = part.first.pop_front()
    {
        let skipped = left.min(bytes.len() as u64);
        left -= skipped;
        bytes.advance(skipped as usize);
        if !bytes.is_empty() {
            part.first.push_front(bytes);
        }
    }
    if left > part.left {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut buffer = vec![0; left.min(READ_BYTES) as usize];
    while left > 0 {
        timeout(stall, part.stream.readable()).await??;
        let most = left.min(READ_BYTES) as usize;
        match part.stream.try_read(&mut buffer[..most]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                left -= read as u64;
                part.left -= read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(part)
}

/// A body with the rest of a frame before it.
struct Preceded {
    first: Option<Bytes>,
    frames: HttpBody,
}

impl Body for Preceded {
    type Data = Bytes;
    type Error = <HttpBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.first.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Pin::new(&mut self.frames).poll_frame(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use http_body_util::Full;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const STALL: Duration = Duration::from_secs(60);

    fn frames(text: &'static str) -> RangeBody {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        RangeBody::Stream(body.map_err(|never| match never {}).boxed_unsync())
    }

    #[tokio::test]
    async fn frames_begin_where_they_should() {
        for (len, rest) in [(0, "abcdef"), (2, "cdef"), (6, "")] {
            let Ok(RangeBody::Stream(frames)) = skip(frames("abcdef"), len, STALL).await else {
                panic!("frames stay frames");
            };
            assert_eq!(frames.collect().await.unwrap().to_bytes(), rest);
        }
        let short = skip(frames("abcdef"), 7, STALL).await;
        assert_eq!(short.err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn sockets_begin_where_they_should() {
        for (len, held, left) in [(2, "c", 6), (3, "", 6), (7, "", 2), (9, "", 0)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
            accepted.unwrap().0.write_all(b"defghi").await.unwrap();
            let part = SocketBody {
                first: VecDeque::from([Bytes::from_static(b"abc")]),
                stream: stream.unwrap(),
                left: 6,
            };
            let part = skip_socket(part, len, STALL).await.unwrap();
            let first: Vec<u8> = part.first.iter().flatten().copied().collect();
            assert_eq!((first.as_slice(), part.left), (held.as_bytes(), left));
        }
    }
}
