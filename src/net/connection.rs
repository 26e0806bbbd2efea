//! One client's connection: HTTP/1 by hyper over our transport.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::active::ActiveConnection;
use super::body::ResponseBody;
use super::connection_state::ConnectionState;
use super::fast_path::{FastHandler, FastPathInput, poll_next};
use super::framing::FramingLimits;
use super::framing_error::{FramingError, RejectedRequest};
use super::head::MAX_HEADERS;
use super::idle::{IdleTimer, idle};
use super::server_state::ServerState;
use super::slow_client::SlowClientCheck;
use super::timer::TokioTimer;
use super::transport::{ReadLimits, SocketTimeouts, Transport};
use crate::transfer::{BlockingPool, Payload};

/// hyper's read buffer may grow to this: with less, receiving an upload costs nearly twice
/// the processor time. Heads are limited by an option of their own.
const READ_BUFFER_BYTES: usize = 512 * 1024;

/// Most bytes by which a head that stands for a refused one is longer than that.
const SUBSTITUTE_BYTES: usize = 1024;

/// Limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionSettings {
    /// Longest time without progress: for a whole head to come in, for a reader that takes
    /// nothing; `None` waits for ever.
    pub stall: Option<Duration>,
    /// Least bytes a second that a reader takes while we wait for it; zero for any.
    pub min_rate_bytes: u64,
    /// Longest time spent on reading away what a refused client still sends.
    pub linger: Duration,
    /// Whether a connection serves more than one request.
    pub keep_alive: bool,
    /// Largest head of a request, in bytes.
    pub max_head_bytes: usize,
    /// Bytes of the large read buffers of all connections of the process.
    pub all_read_buffers_bytes: usize,
}

/// A connection as the handler of one request sees it. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    peer: SocketAddr,
    stream: Rc<TcpStream>,
    shared: Rc<ConnectionState>,
    /// Which request on the connection, from 1.
    request: u64,
}

impl Connection {
    /// Who is at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address that the client has reached us by, unless the connection is gone.
    pub fn local(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// Bytes received since this was last asked, heads included.
    pub fn take_received_bytes(&self) -> u64 {
        self.shared.received_bytes.take()
    }

    /// A body for an answer on this connection, and no other.
    pub fn body(&self, payload: impl Into<Payload>) -> ResponseBody {
        ResponseBody::new(payload.into(), Rc::clone(&self.shared.outbox))
    }

    fn next_request(
        peer: SocketAddr,
        stream: &Rc<TcpStream>,
        shared: &Rc<ConnectionState>,
    ) -> Self {
        Self {
            peer,
            stream: Rc::clone(stream),
            request: shared.begin_request(),
            shared: Rc::clone(shared),
        }
    }

    /// Whether the request has come in whole, by the guard's own count. hyper says so too,
    /// by ending a body with an error when its connection ends first; but a short image
    /// taken for a whole one is the worst that can happen here, so two have to agree.
    pub fn is_fully_received(&self) -> bool {
        self.shared.received_requests() >= self.request
    }

    /// Whether the connection can serve another request after this one. It cannot when its
    /// handler leaves a body on the way.
    fn can_be_reused(&self) -> bool {
        self.shared.is_buffered(self.request)
    }

    /// The refusal of the request that hyper hands over, if it is refused.
    fn refusal(&self) -> Option<RejectedRequest> {
        self.shared.next_finding().unwrap_or_else(|| {
            Some(RejectedRequest {
                error: FramingError::Unjudged,
                request_line: String::new(),
            })
        })
    }
}

/// What answers requests.
pub trait Handler: FastHandler + 'static {
    /// Answers one request. Where there is a `refusal`, `request` only stands for one that must
    /// not be looked at, and the answer must close the connection.
    fn handle(
        self: Rc<Self>,
        connection: Connection,
        request: Request<Incoming>,
        refusal: Option<RejectedRequest>,
    ) -> impl Future<Output = Response<ResponseBody>>;
}

/// Serves a connection to its end, which comes sooner in some phases of the process.
///
/// A connection on which nothing happens is parked: hyper and its buffers are dropped, and
/// only the socket is kept, until the next request comes in.
///
/// # Errors
/// hyper's: the client went away, sent no HTTP, or stalled.
pub async fn serve<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    settings: &ConnectionSettings,
    handler: Rc<H>,
    blocking: BlockingPool,
    mut phase: watch::Receiver<ServerState>,
) -> hyper::Result<()> {
    let shared = Rc::<ConnectionState>::default();
    let stream = Rc::new(stream);
    let limits = FramingLimits {
        head_bytes: settings.max_head_bytes,
        head_time: settings.stall,
    };
    let patience = SocketTimeouts {
        write_stall: settings.stall,
        linger: settings.linger,
    };
    let pace = SlowClientCheck::new(&stream, settings.min_rate_bytes);
    let reads = ReadLimits {
        buffer_bytes: read_buffer_bytes(settings),
        all_buffers_bytes: settings.all_read_buffers_bytes,
    };
    let mut transport = Transport::new(
        Rc::clone(&stream),
        Rc::clone(&shared),
        limits,
        patience,
        reads,
        blocking,
    );
    let mut quiet = IdleTimer::new(settings.stall);
    // A plain request keeps its connection; where none is kept, none is plain.
    let plain_head_bytes = if settings.keep_alive {
        settings.max_head_bytes
    } else {
        0
    };
    let now = phase.clone();
    let mut drained = pin!(phase.wait_for(|phase| *phase == ServerState::ShuttingDown));
    loop {
        let mut answers = Vec::new();
        let next = poll_fn(|cx| {
            // A plain answer does not say that it is the last one.
            let is_last = now.borrow().is_last_answer();
            let plain_head_bytes = if is_last { 0 } else { plain_head_bytes };
            poll_next(
                &mut transport,
                cx,
                peer,
                plain_head_bytes,
                &*handler,
                &mut answers,
            )
        });
        let came_in = tokio::select! {
            biased;
            came_in = next => came_in,
            _ = drained.as_mut() => FastPathInput::Nothing,
            () = quiet.too_long() => FastPathInput::Nothing,
        };
        quiet.end();
        let sent = transport.send_all(&answers).await;
        match came_in {
            FastPathInput::Nothing => return Ok(()),
            _ if sent.is_err() => return Ok(()),
            FastPathInput::Plain => continue,
            FastPathInput::Other => {}
        }
        // In a box, so that a parked connection has no room for hyper in it.
        let by_hyper = by_hyper(
            transport,
            Client {
                peer,
                stream: &stream,
                shared: &shared,
            },
            settings,
            &handler,
            pace,
            Ending {
                phase: &now,
                begins: drained.as_mut(),
            },
        );
        match Box::pin(by_hyper).await? {
            Some(parked) => transport = parked,
            None => return Ok(()),
        }
    }
}

/// The end of a process, before and when it comes.
struct Ending<'a, F> {
    phase: &'a watch::Receiver<ServerState>,
    begins: Pin<&'a mut F>,
}

/// A client and its socket.
struct Client<'a> {
    peer: SocketAddr,
    stream: &'a Rc<TcpStream>,
    shared: &'a Rc<ConnectionState>,
}

/// Serves requests by hyper, until the connection ends or is quiet; then its transport is
/// returned.
///
/// A client that ends its side is answered (RFC 9112, 9.6), so hyper does not watch for the end
/// of the stream while a request is answered. A client that is gone for good shows in a reset.
async fn by_hyper<H: Handler>(
    transport: Transport,
    client: Client<'_>,
    settings: &ConnectionSettings,
    handler: &Rc<H>,
    pace: SlowClientCheck,
    ending: Ending<'_, impl Future>,
) -> hyper::Result<Option<Transport>> {
    let _awake = ActiveConnection::new();
    let Client {
        peer,
        stream,
        shared,
    } = client;
    let service = service_fn(|request| {
        let connection = Connection::next_request(peer, stream, shared);
        let refusal = connection.refusal();
        let answer = Rc::clone(handler).handle(connection.clone(), request, refusal);
        async move {
            let mut answer = answer.await;
            if ending.phase.borrow().is_last_answer() || !connection.can_be_reused() {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = builder(settings).serve_connection(transport, service);
    tokio::select! {
        biased;
        result = &mut http => return result.map(|()| None),
        () = idle(shared) => {
            let mut transport = http.into_parts().io;
            transport.park();
            return Ok(Some(transport));
        }
        () = pace.too_slow() => {
            tracing::info!(%peer, "the client takes data too slowly and is cut");
            return Ok(None);
        }
        () = reset(stream) => return Ok(None),
        _ = ending.begins => Pin::new(&mut http).graceful_shutdown(),
    }
    tokio::select! {
        biased;
        result = http => result.map(|()| None),
        () = reset(stream) => Ok(None),
    }
}

/// Returns when the client has reset the connection.
async fn reset(stream: &TcpStream) {
    // An error means that the worker ends.
    let _ = stream.ready(Interest::ERROR).await;
}

fn read_buffer_bytes(settings: &ConnectionSettings) -> usize {
    READ_BUFFER_BYTES.max(settings.max_head_bytes + SUBSTITUTE_BYTES)
}

fn builder(settings: &ConnectionSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer)
        .half_close(true)
        // The transport limits the time and the size of a head, and says so in its response.
        .header_read_timeout(None)
        .keep_alive(settings.keep_alive)
        .max_headers(MAX_HEADERS)
        .max_header_size(settings.max_head_bytes + SUBSTITUTE_BYTES)
        .max_buf_size(read_buffer_bytes(settings))
        .title_case_headers(true)
        .writev(true);
    builder
}
