//! How a request gets on: the server's silence is measured from when it last took something.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::transfer::HttpBody;

/// What one request waits for.
#[derive(Clone)]
pub(super) struct RequestProgress {
    waits: Arc<Mutex<Waits>>,
}

#[derive(Clone, Copy)]
enum Waits {
    /// For the server, which took something at this time.
    ForServer(Instant),
    /// For us: the rest of the body is not there yet.
    ForUs,
}

/// The server neither took anything nor answered.
pub(super) struct Stalled;

impl RequestProgress {
    /// A body that shows how far it has been taken.
    pub(super) fn of(body: HttpBody) -> (HttpBody, Self) {
        let now = Waits::ForServer(Instant::now());
        let progress = Self {
            waits: Arc::new(Mutex::new(now)),
        };
        let watched = Watched {
            body,
            progress: progress.clone(),
        };
        (watched.boxed_unsync(), progress)
    }

    /// Waits for an answer as long as the server gets on with the request, or we do not.
    pub(super) async fn answer<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = T>,
    ) -> Result<T, Stalled> {
        let mut answer = std::pin::pin!(answer);
        loop {
            let until = self.since() + limit;
            if let Ok(answer) = timeout_at(until, answer.as_mut()).await {
                return Ok(answer);
            }
            if self.since() + limit <= Instant::now() {
                return Err(Stalled);
            }
        }
    }

    /// Since when the server has not done anything.
    fn since(&self) -> Instant {
        match *self.waits.lock().unwrap_or_else(PoisonError::into_inner) {
            Waits::ForServer(since) => since,
            Waits::ForUs => Instant::now(),
        }
    }

    fn set(&self, waits: Waits) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = waits;
    }
}

/// A body that notes when it is asked for more.
struct Watched {
    body: HttpBody,
    progress: RequestProgress,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = <HttpBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.progress.set(match frame {
            Poll::Ready(_) => Waits::ForServer(Instant::now()),
            Poll::Pending => Waits::ForUs,
        });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::empty;

    const LIMIT: Duration = Duration::from_millis(50);

    /// A body whose frames come when they are sent.
    fn channel() -> (tokio::sync::mpsc::UnboundedSender<Bytes>, HttpBody) {
        struct Channel(tokio::sync::mpsc::UnboundedReceiver<Bytes>);
        impl Body for Channel {
            type Data = Bytes;
            type Error = Box<dyn std::error::Error + Send + Sync>;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                let bytes = self.0.poll_recv(cx);
                bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (sender, Channel(receiver).boxed_unsync())
    }

    #[tokio::test]
    async fn silence_is_an_error() {
        let (_, progress) = RequestProgress::of(empty());
        let began = Instant::now();
        let answer = progress.answer(LIMIT, std::future::pending::<()>()).await;
        assert!(answer.is_err());
        assert!(began.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn a_slow_server_that_goes_on_is_waited_for() {
        let (sender, body) = channel();
        let (mut body, progress) = RequestProgress::of(body);
        let takes = async {
            for _ in 0..10 {
                sender.send(Bytes::from_static(b"x")).unwrap();
                tokio::time::sleep(LIMIT * 2 / 3).await;
                body.frame().await.unwrap().unwrap();
            }
            "answer"
        };
        assert_eq!(progress.answer(LIMIT, takes).await.ok(), Some("answer"));
    }

    #[tokio::test]
    async fn our_own_slowness_is_not_the_servers() {
        let (sender, body) = channel();
        let (mut body, progress) = RequestProgress::of(body);
        let takes = async {
            let slow = async {
                tokio::time::sleep(LIMIT * 5).await;
                sender.send(Bytes::from_static(b"x")).unwrap();
            };
            tokio::join!(slow, async { body.frame().await.unwrap().unwrap() });
            "answer"
        };
        assert_eq!(progress.answer(LIMIT, takes).await.ok(), Some("answer"));
    }
}
