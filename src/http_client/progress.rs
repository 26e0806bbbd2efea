//! Timeout of a request with a body: measures the time since the server last received a part of
//! the body. Time in which the local side has nothing to send does not count.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use crate::transfer::HttpBody;

/// The progress of one request.
#[derive(Clone)]
pub(super) struct RequestProgress {
    waits: Arc<Mutex<Waits>>,
}

#[derive(Clone, Copy)]
enum Waits {
    /// For the server, which last received bytes at this time.
    ForServer(Instant),
    /// For the local side: the next bytes of the body are not ready.
    ForBody,
}

/// The server neither received bytes nor responded within the limit.
pub(super) struct Stalled;

impl RequestProgress {
    /// Wraps a body. Returns the wrapper and its progress.
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

    /// Waits for a response. Fails when the request waited for the server for `limit` without
    /// progress.
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

    /// Returns the time since which the request has waited for the server.
    fn since(&self) -> Instant {
        match *self.waits.lock().unwrap_or_else(PoisonError::into_inner) {
            Waits::ForServer(since) => since,
            Waits::ForBody => Instant::now(),
        }
    }

    fn set(&self, waits: Waits) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = waits;
    }
}

/// A body that records when hyper polls it: hyper asks for more only after the socket accepted
/// earlier bytes.
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
            Poll::Pending => Waits::ForBody,
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

    /// A body with a channel of frames.
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
    async fn silent_server_times_out() {
        let (_, progress) = RequestProgress::of(empty());
        let began = Instant::now();
        let answer = progress.answer(LIMIT, std::future::pending::<()>()).await;
        assert!(answer.is_err());
        assert!(began.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn slow_server_with_progress_does_not_time_out() {
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
    async fn slow_local_body_does_not_time_out() {
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
