//! The first bytes of an answer that has more.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use crate::transfer::{HttpBody, RangeBody, SocketBody};

/// The part without what it has beyond `len` bytes.
pub(super) fn upto(part: RangeBody, len: u64) -> RangeBody {
    match part {
        RangeBody::Stream(frames) => {
            RangeBody::Stream(UptoFrames { frames, left: len }.boxed_unsync())
        }
        RangeBody::Socket(part) => RangeBody::Socket(upto_socket(part, len)),
    }
}

fn upto_socket(mut part: SocketBody, len: u64) -> SocketBody {
    let mut left = len;
    for bytes in &mut part.first {
        truncate(bytes, left);
        left -= bytes.len() as u64;
    }
    part.first.retain(|bytes| !bytes.is_empty());
    part.left = part.left.min(left);
    part
}

fn truncate(bytes: &mut Bytes, most: u64) {
    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
}

struct UptoFrames {
    frames: HttpBody,
    left: u64,
}

impl Body for UptoFrames {
    type Data = Bytes;
    type Error = <HttpBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.frames).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let mut frame = frame?;
            if let Some(bytes) = frame.data_mut() {
                truncate(bytes, self.left);
                self.left -= bytes.len() as u64;
            }
            Ok(frame)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    use tokio::net::{TcpListener, TcpStream};

    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = <HttpBody as Body>::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn abc() -> VecDeque<Bytes> {
        VecDeque::from([Bytes::from_static(b"abc"), Bytes::from_static(b"def")])
    }

    #[tokio::test]
    async fn frames_end_where_they_should() {
        for (len, wanted) in [
            (0, &b""[..]),
            (2, b"ab"),
            (3, b"abc"),
            (5, b"abcde"),
            (9, b"abcdef"),
        ] {
            let frames = Pieces(abc()).boxed_unsync();
            let RangeBody::Stream(frames) = upto(RangeBody::Stream(frames), len) else {
                panic!("frames stay frames");
            };
            assert_eq!(frames.collect().await.unwrap().to_bytes(), wanted);
        }
    }

    #[tokio::test]
    async fn sockets_end_where_they_should() {
        for (len, first, left) in [(2, 2, 0), (6, 6, 0), (8, 6, 2), (99, 6, 10)] {
            let part = SocketBody {
                first: abc(),
                stream: socket().await,
                left: 10,
            };
            let part = upto_socket(part, len);
            let held: usize = part.first.iter().map(Bytes::len).sum();
            assert_eq!((held, part.left), (first, left), "{len}");
        }
    }

    async fn socket() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap()
    }
}
