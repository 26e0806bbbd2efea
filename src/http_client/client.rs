//! [`HttpClient`]: sends requests over pooled connections, and opens objects on connections of
//! their own.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{Request, Response, response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::bodies::{empty, read_all};
use super::connect::{Connector, Socket};
use super::early_response::ReadAfterRefusedWrite;
use super::error::HttpClientError;
use super::options::HttpClientOptions;
use super::pool::{self, Lease, Pooled, Sender};
use super::progress::{RequestProgress, Stalled};
use super::proxy::Proxies;
use super::target::{Target, prepare};
use crate::transfer::{HttpBody, RangeBody, SocketBody};

/// Largest read buffer of a connection that downloads an object, in bytes. With this size, hyper
/// costs no more than a plain loop of reads.
const READ_BUFFER_BYTES: usize = 400 * 1024;

/// Largest buffer of a pooled connection, in bytes. hyper polls a request body only while fewer
/// bytes wait for the socket, so this bounds the memory of an upload.
const SMALL_BUFFER_BYTES: usize = 64 * 1024;

/// Most headers of a response: 128 properties of an image, its fields in two spellings, and those
/// of HTTP itself.
const MAX_HEADERS: usize = 512;

/// Default of [`HttpClient::with_continue_timeout`].
///
/// It is long, because a final response that a busy server sends later can no longer be handled
/// by another request, and because servers that never send `100 Continue` are rare.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(10);

/// A client for other servers. Cheap to clone. The clones on one thread share their connections.
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    /// Identifies this client's connections in the thread's pool.
    number: u64,
    connector: Connector,
    continue_timeout: Duration,
    options: HttpClientOptions,
}

type Connection<S> = http1::Connection<TokioIo<S>, HttpBody>;

impl HttpClient {
    /// Creates a client. It opens no connection yet.
    pub fn new(options: HttpClientOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                number: next_number(),
                connector: Connector::new(&options),
                continue_timeout: CONTINUE_TIMEOUT,
                options,
            }),
        }
    }

    /// Connects through these proxies. The result shares no connections with `self`.
    pub fn with_proxies(self, proxies: Proxies) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.inner);
        // Pooled connections of the old number may lead to the server by another way.
        inner.number = next_number();
        inner.connector.proxies = proxies;
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Sets how long [`HttpClient::start_streaming`] waits for `100 Continue` before it sends the
    /// body without it (RFC 9110, section 10.1.1).
    pub fn with_continue_timeout(self, timeout: Duration) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.inner);
        inner.continue_timeout = timeout;
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Sends a request with an absolute URI, over a pooled connection if there is one. The
    /// connection returns to the pool when the response body was read to its end.
    ///
    /// A request is sent at most once. It is repeated on another connection only if a pooled
    /// connection was closed before hyper wrote any of it. Redirects are not followed.
    ///
    /// # Errors
    /// [`HttpClientError`], whose text contains no URI and no secret.
    pub async fn send(
        &self,
        request: Request<HttpBody>,
    ) -> Result<Response<HttpBody>, HttpClientError> {
        let (target, request) = self.prepare(request)?;
        let (mut request, progress) = watch(request);
        loop {
            let (mut sender, is_kept) = self.connection(&target).await?;
            // `try_send_request` returns the request if hyper has not written any of it. Only then
            // is it safe to send it again.
            let sent = sender.try_send_request(request);
            match self.watched_answer(&progress, sent).await? {
                Ok(response) => return Ok(self.pooled(response, target, sender)),
                Err(mut failure) => match failure.take_message() {
                    Some(unsent) if is_kept => request = unsent,
                    _ => return Err(failure.into_error().into()),
                },
            }
        }
    }

    /// Sends a request as [`HttpClient::send`] does, and reads the whole response body of at
    /// most `most_bytes`.
    ///
    /// # Errors
    /// [`HttpClientError`], whose text contains no URI and no secret.
    pub async fn fetch(
        &self,
        request: Request<HttpBody>,
        most_bytes: usize,
    ) -> Result<Response<Bytes>, HttpClientError> {
        let (head, body) = self.send(request).await?.into_parts();
        let body = self.answer(read_all(body, most_bytes)).await??;
        Ok(Response::from_parts(head, body))
    }

    /// Splits a request into its target and the request in the form that the next hop expects.
    pub(super) fn prepare(
        &self,
        request: Request<HttpBody>,
    ) -> Result<(Target, Request<HttpBody>), HttpClientError> {
        let (target, mut request) = prepare(request)?;
        let proxy = self.inner.connector.proxies.for_target(&target);
        if let Some(proxy) = proxy.filter(|_| !target.is_tls) {
            proxy.rewrite(&mut request, &target)?;
        }
        Ok((target, request))
    }

    /// Returns a connection, and true if it comes from the pool.
    pub(super) async fn connection(
        &self,
        target: &Target,
    ) -> Result<(Sender, bool), HttpClientError> {
        if let Some(sender) = pool::take(self.inner.number, target).await {
            return Ok((sender, true));
        }
        let socket = self.inner.connector.connect(target).await?;
        let socket = ReadAfterRefusedWrite::new(socket);
        let (sender, connection) = handshake(socket, SMALL_BUFFER_BYTES).await?;
        tokio::spawn(async move {
            // The request that uses the connection reports its error.
            let _ = connection.await;
        });
        Ok((sender, false))
    }

    /// Sends a request without a body for an object, over a connection of its own.
    ///
    /// Returns the head of the response, and the body as a socket if possible: over plain HTTP,
    /// with a known length and without chunks.
    ///
    /// # Errors
    /// [`HttpClientError`], whose text contains no URI and no secret.
    pub async fn open(
        &self,
        request: Request<()>,
    ) -> Result<(response::Parts, RangeBody), HttpClientError> {
        let (target, request) = self.prepare(request.map(|()| empty()))?;
        let (request, progress) = watch(request);
        let socket = self.inner.connector.connect(&target).await?;
        let (mut sender, connection) = handshake(socket, READ_BUFFER_BYTES).await?;
        let mut connection = Box::pin(connection);
        let answer = head_of(&mut connection, sender.send_request(request));
        let (head, body) = self.watched_answer(&progress, answer).await??.into_parts();
        let length = body.size_hint().exact();
        let part = match length {
            // Only then do the bytes in the socket equal the bytes of the body.
            Some(length) if !target.is_tls && !is_chunked(&head) => {
                into_socket(*Pin::into_inner(connection), body, length)?
            }
            _ => {
                tokio::spawn(async move {
                    // The body reports the connection's error.
                    let _ = connection.await;
                });
                RangeBody::Stream(body.map_err(Into::into).boxed_unsync())
            }
        };
        Ok((head, part))
    }

    /// Waits for a response as long as the server makes progress with the request.
    async fn watched_answer<T>(
        &self,
        progress: &RequestProgress,
        answer: impl Future<Output = T>,
    ) -> Result<T, HttpClientError> {
        let limit = self.inner.options.answer_timeout;
        let answer = progress.answer(limit, answer).await;
        answer.map_err(|Stalled| HttpClientError::Silent(limit))
    }

    /// Waits for a response until the timeout.
    pub(super) async fn answer<T>(
        &self,
        answer: impl Future<Output = T>,
    ) -> Result<T, HttpClientError> {
        let limit = self.answer_timeout();
        let answer = tokio::time::timeout(limit, answer).await;
        answer.map_err(|_| HttpClientError::Silent(limit))
    }

    /// Returns the longest time without progress of a server that has to respond or to receive a
    /// body.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.inner.options.answer_timeout
    }

    /// Returns the longest wait for `100 Continue`.
    pub(super) fn continue_timeout(&self) -> Duration {
        self.inner.continue_timeout.min(self.answer_timeout())
    }

    /// Wraps a response so that its connection returns to the pool at the end of the body.
    pub(super) fn pooled(
        &self,
        response: Response<Incoming>,
        target: Target,
        sender: Sender,
    ) -> Response<HttpBody> {
        let lease = Lease::new(
            self.inner.number,
            target,
            self.inner.options.idle_timeout,
            sender,
        );
        response.map(|body| Pooled::new(body, lease).map_err(Into::into).boxed_unsync())
    }
}

/// Wraps a request's body so that its progress can be watched.
fn watch(request: Request<HttpBody>) -> (Request<HttpBody>, RequestProgress) {
    let (head, body) = request.into_parts();
    let (body, progress) = RequestProgress::of(body);
    (Request::from_parts(head, body), progress)
}

/// Returns a number that no other client of the process has.
fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

async fn handshake<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    socket: S,
    buffer_bytes: usize,
) -> Result<(Sender, Connection<S>), HttpClientError> {
    let mut builder = http1::Builder::new();
    builder.max_headers(MAX_HEADERS).max_buf_size(buffer_bytes);
    Ok(builder.handshake(TokioIo::new(socket)).await?)
}

/// Drives a connection until the head of a response is received, and no further: hyper must not
/// read the body, which the kernel will splice.
async fn head_of(
    connection: &mut Pin<Box<Connection<Socket>>>,
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
) -> Result<Response<Incoming>, HttpClientError> {
    let mut answer = pin!(answer);
    poll_fn(|cx| {
        let ended = connection.poll_without_shutdown(cx);
        match (answer.as_mut().poll(cx), ended) {
            (Poll::Ready(answer), _) => Poll::Ready(answer.map_err(Into::into)),
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
            (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(Err(HttpClientError::Closed)),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

fn is_chunked(head: &response::Parts) -> bool {
    head.headers.contains_key(TRANSFER_ENCODING)
}

/// Dismantles a connection after the head of its response. Returns the bytes of the body that
/// hyper has read, and the socket with the rest.
fn into_socket(
    connection: Connection<Socket>,
    mut body: Incoming,
    length: u64,
) -> Result<RangeBody, HttpClientError> {
    let parts = connection.into_parts();
    let mut first = VecDeque::new();
    // hyper has passed some bytes to the body already. Without its connection the body ends after
    // them, so polling it never waits.
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut cx) {
        first.extend(frame.into_data());
    }
    first.push_back(parts.read_buf);
    first.retain(|bytes| !bytes.is_empty());
    let received: u64 = first.iter().map(|bytes| bytes.len() as u64).sum();
    match parts.io.into_inner() {
        Socket::Plain(stream) => Ok(RangeBody::Socket(SocketBody {
            first,
            stream,
            left: length
                .checked_sub(received)
                .ok_or(HttpClientError::TooMuch)?,
        })),
        Socket::Tls(_) => Err(HttpClientError::Address),
    }
}
