//! A request whose body is pushed while it is sent.

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

/// What a server says to the head of a request.
pub enum StreamStart {
    /// It wants the body.
    Wanted(StreamingRequest),
    /// It has answered without one.
    Answered(Response<HttpBody>),
}

type Sent = Result<Response<Incoming>, TrySendError<Request<HttpBody>>>;
type Answer = Pin<Box<dyn Future<Output = Sent> + Send>>;

/// A request whose body is being sent. Dropped, it is cut, so that the server sees that the
/// body has no end; unless it has a length, and all of it was pushed.
pub struct StreamingRequest {
    client: HttpClient,
    target: Target,
    sender: Sender,
    pieces: mpsc::Sender<PushedChunk>,
    answer: Answer,
}

/// A request that was sent whole, and is not answered yet. Dropped, it may have been heard
/// all the same.
pub struct SentRequest(StreamingRequest);

impl HttpClient {
    /// Sends a request whose body is pushed piece by piece, `length_bytes` in all if that is
    /// known; up to `room` pieces wait for the socket. No byte of the body is taken before
    /// the server has asked for it, so whatever it says to the head can be mended by another
    /// request.
    ///
    /// # Errors
    /// [`HttpClientError`], which names no secret.
    pub async fn put(
        &self,
        request: Request<()>,
        length_bytes: Option<u64>,
        room: usize,
    ) -> Result<StreamStart, HttpClientError> {
        loop {
            let (pieces, body) = pushed_body(length_bytes, room);
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
                    // A kept connection may have been closed just now.
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

    /// Hands over the next piece, and returns when there was room for it. An answer that
    /// comes before the end says that no more is wanted.
    ///
    /// # Errors
    /// [`HttpClientError::Silent`] when the server takes nothing any more; others when the
    /// connection broke.
    pub async fn push(
        &mut self,
        piece: Bytes,
    ) -> Result<Option<Response<HttpBody>>, HttpClientError> {
        let limit = self.client.answer_timeout();
        let room = tokio::select! {
            biased;
            answer = &mut self.answer => return early(answer, &self.pieces).map(Some),
            room = tokio::time::timeout(limit, self.pieces.reserve()) => room,
        };
        match room {
            Err(_) => Err(HttpClientError::Silent(limit)),
            Ok(Ok(room)) => {
                room.send(PushedChunk::Bytes(piece));
                Ok(None)
            }
            // Nobody sends any more: the answer says why.
            Ok(Err(_)) => {
                let answer = self.client.answer(&mut self.answer).await?;
                early(answer, &self.pieces).map(Some)
            }
        }
    }

    /// Ends the body.
    ///
    /// # Errors
    /// [`HttpClientError::Silent`] when the server takes nothing any more.
    pub async fn end(self) -> Result<SentRequest, HttpClientError> {
        let limit = self.client.answer_timeout();
        let end = self.pieces.send_timeout(PushedChunk::End, limit).await;
        // A body with a length has ended already, and nobody is there to be told.
        if let Err(mpsc::error::SendTimeoutError::Timeout(_)) = end {
            return Err(HttpClientError::Silent(limit));
        }
        Ok(SentRequest(self))
    }
}

impl SentRequest {
    /// Waits for the answer.
    ///
    /// # Errors
    /// [`HttpClientError`], which names no secret.
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

/// An answer on a connection that cannot be used again, since its request has no end.
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

/// Learns when the server asks for the body.
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
