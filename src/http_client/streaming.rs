//! Requests whose body is pushed piece by piece while it is sent, such as uploads to a store.
//! The body is sent only after the server has answered `100 Continue`.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::{Notify, mpsc};

use super::client::HttpClient;
use super::error::HttpClientError;
use super::pool::Sender;
use super::pushed_body::{PushedChunk, pushed_body};
use super::target::Target;
use crate::transfer::HttpBody;

/// The server's reaction to the head of a request.
pub enum StreamStart {
    /// The server accepts the body.
    Wanted(StreamingRequest),
    /// The server has sent a final response without reading the body.
    Answered(Response<HttpBody>),
}

type Sent = Result<Response<Incoming>, TrySendError<Request<HttpBody>>>;
type Answer = Pin<Box<dyn Future<Output = Sent> + Send>>;

/// A request whose body is being sent.
///
/// Dropping it aborts the request: the server sees an incomplete body, unless the body has a
/// length and all of it was pushed.
pub struct StreamingRequest {
    client: HttpClient,
    target: Target,
    sender: Sender,
    pieces: mpsc::Sender<PushedChunk>,
    answer: Answer,
}

/// A request that was sent completely and has no response yet. The server may process it even if
/// this value is dropped.
pub struct SentRequest(StreamingRequest);

impl HttpClient {
    /// Sends the head of a request whose body is pushed piece by piece: `length_bytes` in all if
    /// that is known. Up to `queue_len` pieces wait for the socket.
    ///
    /// The body is not touched before the server accepts it, so the caller can react to any
    /// other response (such as 401 or 404) by another request.
    ///
    /// # Errors
    /// [`HttpClientError`], whose text contains no URI and no secret.
    pub async fn start_streaming(
        &self,
        request: Request<()>,
        length_bytes: Option<u64>,
        queue_len: usize,
    ) -> Result<StreamStart, HttpClientError> {
        loop {
            let (pieces, body) = pushed_body(length_bytes, queue_len);
            let (target, mut request) =
                self.prepare(request.clone().map(|()| body.boxed_unsync()))?;
            let expect = HeaderValue::from_static("100-continue");
            request.headers_mut().insert(EXPECT, expect);
            let asked = notice_continue(&mut request);
            let (mut sender, is_kept) = self.connection(&target).await?;
            let mut answer: Answer = Box::pin(sender.try_send_request(request));
            tokio::select! {
                biased;
                answer = &mut answer => match answer {
                    Ok(response) => return Ok(StreamStart::Answered(unpooled(response, pieces))),
                    // The server may just have closed a pooled connection.
                    Err(_) if is_kept => continue,
                    Err(failure) => return Err(failure.into_error().into()),
                },
                () = asked.notified() => {}
                () = tokio::time::sleep(self.continue_timeout()) => {}
            }
            return Ok(StreamStart::Wanted(StreamingRequest {
                client: self.clone(),
                target,
                sender,
                pieces,
                answer,
            }));
        }
    }
}

impl StreamingRequest {
    /// Waits for a response that the server sends before the end of the body. Callers whose next
    /// piece may take long to arrive wait for both, so that a refusal is noticed at once.
    ///
    /// # Errors
    /// [`HttpClientError`] if the connection breaks.
    pub async fn early_response(&mut self) -> Result<Response<HttpBody>, HttpClientError> {
        let answer = (&mut self.answer).await;
        early(answer, &self.pieces)
    }

    /// Queues the next piece, and waits for space in the queue. Returns a response if the server
    /// sends one before the end of the body; it then reads no more of it.
    ///
    /// # Errors
    /// [`HttpClientError::Silent`] if the server stops receiving; others if the connection fails.
    pub async fn push(
        &mut self,
        piece: Bytes,
    ) -> Result<Option<Response<HttpBody>>, HttpClientError> {
        let limit = self.client.answer_timeout();
        let permit = tokio::select! {
            biased;
            answer = &mut self.answer => return early(answer, &self.pieces).map(Some),
            permit = tokio::time::timeout(limit, self.pieces.reserve()) => permit,
        };
        match permit {
            Err(_) => Err(HttpClientError::Silent(limit)),
            Ok(Ok(permit)) => {
                permit.send(PushedChunk::Bytes(piece));
                Ok(None)
            }
            // hyper dropped the body; the response or the connection's error tells why.
            Ok(Err(_)) => {
                let answer = self.client.answer(&mut self.answer).await?;
                early(answer, &self.pieces).map(Some)
            }
        }
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`HttpClientError::Silent`] if the server stops receiving.
    pub async fn end(self) -> Result<SentRequest, HttpClientError> {
        let limit = self.client.answer_timeout();
        let end = self.pieces.send_timeout(PushedChunk::End, limit).await;
        // hyper drops a body with a length after its last byte, so a closed channel is no error.
        if let Err(mpsc::error::SendTimeoutError::Timeout(_)) = end {
            return Err(HttpClientError::Silent(limit));
        }
        Ok(SentRequest(self))
    }
}

impl SentRequest {
    /// Waits for the response.
    ///
    /// # Errors
    /// [`HttpClientError`], whose text contains no URI and no secret.
    pub async fn answer(self) -> Result<Response<HttpBody>, HttpClientError> {
        let mut request = self.0;
        let answer = request.client.answer(&mut request.answer).await?;
        let response = answer.map_err(TrySendError::into_error)?;
        let StreamingRequest {
            client,
            target,
            sender,
            ..
        } = request;
        Ok(client.pooled(response, target, sender))
    }
}

fn early(
    answer: Sent,
    pieces: &mpsc::Sender<PushedChunk>,
) -> Result<Response<HttpBody>, HttpClientError> {
    let response = answer.map_err(TrySendError::into_error)?;
    Ok(unpooled(response, pieces.clone()))
}

/// Wraps a response whose connection cannot be used again, because its request is incomplete.
fn unpooled(response: Response<Incoming>, pieces: mpsc::Sender<PushedChunk>) -> Response<HttpBody> {
    response.map(|body| {
        // Without its sender the request's body would end with an error, and hyper would close
        // the connection before the whole response has arrived.
        let body = body.map_frame(move |frame| {
            let _held_open = &pieces;
            frame
        });
        body.map_err(Into::into).boxed_unsync()
    })
}

/// Returns a notification of the server's `100 Continue`.
fn notice_continue(request: &mut Request<HttpBody>) -> Arc<Notify> {
    let asked = Arc::new(Notify::new());
    let notify = Arc::clone(&asked);
    hyper::ext::on_informational(request, move |answer| {
        if answer.status() == StatusCode::CONTINUE {
            notify.notify_one();
        }
    });
    asked
}
