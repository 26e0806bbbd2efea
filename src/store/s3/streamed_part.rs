//! A part that is sent while it comes in, for when there is no memory to keep it. It costs
//! next to nothing, and it is sent once: a connection that breaks ends the upload.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::part_buffer::{BodyConsumed, PartBody};
use crate::transfer::HttpBody;

/// Pieces that wait for the socket. What is on its way in the client comes on top.
const WAITING_PIECES: usize = 1;

/// Where a part's bytes are pushed. Dropped before the last, the request is cut, so that S3
/// sees that it is not whole.
pub(super) struct StreamedPart {
    pieces: mpsc::Sender<Bytes>,
    left: u64,
}

/// Nobody sends the part any more; its request knows why.
pub(super) struct BodyDropped;

impl StreamedPart {
    /// A part of that length, and its other end.
    pub(super) fn new(len: u64) -> (Self, PartBody) {
        let (sender, pieces) = mpsc::channel(WAITING_PIECES);
        let consumed = BodyConsumed::default();
        let body = StreamedBody {
            pieces,
            left: len,
            consumed: consumed.clone(),
        };
        let load = PartBody {
            len,
            stream: ByteStream::new(SdkBody::from_body_1_x(body)),
            consumed,
        };
        let passing = Self {
            pieces: sender,
            left: len,
        };
        (passing, load)
    }

    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Takes from the front of `bytes` what there is room for, once it can be passed on.
    pub(super) async fn fill(&mut self, bytes: &mut Bytes) -> Result<(), BodyDropped> {
        let place = self.pieces.reserve().await.map_err(|_| BodyDropped)?;
        let taken = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.left -= taken as u64;
        place.send(bytes.split_to(taken));
        Ok(())
    }
}

struct StreamedBody {
    pieces: mpsc::Receiver<Bytes>,
    left: u64,
    consumed: BodyConsumed,
}

/// The upload was given up in the middle of a part.
#[derive(Debug, thiserror::Error)]
#[error("the upload was given up")]
struct GivenUp;

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = <HttpBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let Some(piece) = ready!(self.pieces.poll_recv(cx)) else {
            return Poll::Ready(Some(Err(GivenUp.into())));
        };
        self.left -= piece.len() as u64;
        self.consumed.set(self.left == 0);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn pieces_come_out_as_they_went_in() {
        let (mut passing, load) = StreamedPart::new(5);
        let mut body = load.stream.into_inner();
        assert!(body.try_clone().is_none());
        for word in ["abc", "defg"] {
            let mut bytes = Bytes::from_static(word.as_bytes());
            let address = bytes.as_ptr();
            assert!(!load.consumed.get());
            assert!(passing.fill(&mut bytes).await.is_ok());
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece.as_ptr(), address);
        }
        assert!(passing.is_full() && load.consumed.get());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_part_that_is_given_up_is_no_whole_part() {
        let (mut passing, load) = StreamedPart::new(5);
        let mut body = load.stream.into_inner();
        assert!(passing.fill(&mut Bytes::from_static(b"abc")).await.is_ok());
        drop(passing);
        assert!(body.frame().await.unwrap().is_ok());
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_request_that_is_over() {
        let (mut passing, load) = StreamedPart::new(5);
        drop(load);
        assert!(passing.fill(&mut Bytes::from_static(b"abc")).await.is_err());
    }
}
