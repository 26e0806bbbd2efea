//! One connection to the server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::endpoint::GlanceEndpoint;
use super::error::{ClientError, Result};
use super::io::{PeerSocket, SourceWait};
use super::upload::UploadBody;

/// Headers an answer may have: 128 properties, the fields in two spellings, and HTTP's own.
const MAX_HEADERS: usize = 512;

/// The body of a request: a few bytes that can be sent again, or an upload.
pub(super) enum RequestBody {
    Small(Bytes),
    Upload(Box<UploadBody>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Small(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Small(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Upload(upload) => Pin::new(upload.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Small(bytes) => bytes.is_empty(),
            Self::Upload(upload) => upload.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Small(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upload(upload) => upload.size_hint(),
        }
    }
}

/// A connection and the task that drives it; dropping it closes it at once, whatever is
/// still to be sent.
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    /// Set by an upload body on this connection that waits for its source.
    pub(super) source_wait: SourceWait,
    /// Whether it has carried an exchange before.
    pub(super) is_reused: bool,
    driver: AbortHandle,
}

impl Connection {
    /// Connects, trying every address of the host.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub(super) async fn open(
        endpoint: &GlanceEndpoint,
        connect_limit: Duration,
        silence_limit: Duration,
    ) -> Result<Self> {
        let failed = |source| ClientError::Connect {
            address: endpoint.authority(),
            source,
        };
        let connecting = TcpStream::connect((endpoint.host(), endpoint.port()));
        let stream = match tokio::time::timeout(connect_limit, connecting).await {
            Ok(outcome) => outcome.map_err(failed)?,
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(failed)?;
        let source_wait = SourceWait::default();
        let socket = PeerSocket::new(stream, silence_limit, source_wait.clone());
        let (sender, driving) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .handshake(socket)
            .await
            .map_err(|error| failed(io::Error::other(error)))?;
        let driver = tokio::spawn(async move {
            // Its error reaches whoever waits for the answer.
            let _ = driving.await;
        });
        Ok(Self {
            sender,
            source_wait,
            is_reused: false,
            driver: driver.abort_handle(),
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
