//! An answer whose server does not say its length: counted against the length that the
//! registry has.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use crate::transfer::{HttpBody, RangeBody};

/// The part, which fails unless it has exactly `len` bytes. Its last bytes are kept back until
/// its end is there.
pub(super) fn counted(part: RangeBody, len: u64) -> RangeBody {
    match part {
        RangeBody::Stream(frames) => RangeBody::Stream(
            Counted {
                frames,
                left: len,
                last: None,
            }
            .boxed_unsync(),
        ),
        // Its length is known from the answer's head.
        RangeBody::Socket(part) => RangeBody::Socket(part),
    }
}

struct Counted {
    frames: HttpBody,
    left: u64,
    /// Complete what there should be; given out at the end.
    last: Option<Bytes>,
}

#[derive(Debug, thiserror::Error)]
enum WrongLength {
    #[error("the object has more bytes than the registry says")]
    Longer,
    #[error("the object has {0} bytes fewer than the registry says")]
    Shorter(u64),
}

impl Body for Counted {
    type Data = Bytes;
    type Error = <HttpBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.frames).poll_frame(cx));
            let Some(frame) = frame.transpose()? else {
                let last = self.last.take();
                return Poll::Ready(match self.left {
                    0 => last.map(|bytes| Ok(Frame::data(bytes))),
                    left => Some(Err(WrongLength::Shorter(left).into())),
                });
            };
            // Trailers say nothing that anybody asked for.
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
                return Poll::Ready(Some(Err(WrongLength::Longer.into())));
            };
            self.left = left;
            if left > 0 {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if !bytes.is_empty() {
                self.last = Some(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    async fn read(text: &'static str, len: u64) -> Result<Bytes, String> {
        let body = Full::new(Bytes::from_static(text.as_bytes()));
        let frames = body.map_err(|never| match never {}).boxed_unsync();
        let RangeBody::Stream(frames) = counted(RangeBody::Stream(frames), len) else {
            panic!("frames stay frames");
        };
        let collected = frames.collect().await;
        Ok(collected.map_err(|error| error.to_string())?.to_bytes())
    }

    #[tokio::test]
    async fn only_the_right_length_comes_to_an_end() {
        assert_eq!(read("abc", 3).await.as_deref(), Ok(&b"abc"[..]));
        assert!(read("abc", 2).await.unwrap_err().contains("more bytes"));
        assert!(read("abc", 5).await.unwrap_err().contains("2 bytes fewer"));
    }
}
