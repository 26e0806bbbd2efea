//! One client connection, from acceptance to close: alternates between waiting on the fast path
//! and serving requests by hyper over the `transport`.

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
use super::framing::{FramingError, FramingLimits, MAX_HEADERS, RejectedRequest};
use super::idle::{IdleTimer, idle};
use super::server_state::ServerState;
use super::slow_client::SlowClientCheck;
use super::timer::TokioTimer;
use super::transport::{ReadLimits, SocketTimeouts, Transport};
use crate::transfer::{BlockingPool, Payload};

/// Largest size of hyper's read buffer, in bytes. With a smaller one, receiving an upload costs
/// up to twice the processor time. Heads are limited by an option of their own.
const READ_BUFFER_BYTES: usize = 512 * 1024;

/// Most bytes by which the substitute for a rejected head is longer than the rejected one.
const SUBSTITUTE_BYTES: usize = 1024;

/// Limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionSettings {
    /// Longest time without progress: for receiving a complete head, for a client that receives
    /// nothing, and for an idle connection. `None` disables the limit.
    pub stall: Option<Duration>,
    /// Least bytes per second that a client has to receive while data wait for it. Zero disables
    /// the limit.
    pub min_rate_bytes: u64,
    /// Longest time for discarding what a client still sends after the response (lingering
    /// close).
    pub linger: Duration,
    /// Allows more than one request per connection.
    pub keep_alive: bool,
    /// Largest head of a request, in bytes.
    pub max_head_bytes: usize,
    /// Most bytes of the large read buffers of all connections of the process together.
    pub all_read_buffers_bytes: usize,
}

/// A connection, as the handler of one request sees it. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    peer: SocketAddr,
    stream: Rc<TcpStream>,
    shared: Rc<ConnectionState>,
    /// Number of the request on the connection, from 1.
    request: u64,
}

impl Connection {
    /// Returns the client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the local address that the client connected to, or `None` if the connection is
    /// closed.
    pub fn local(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// Returns the number of bytes received since the last call, heads included.
    pub fn take_received_bytes(&self) -> u64 {
        self.shared.received_bytes.take()
    }

    /// Creates a response body. It can be sent on this connection only.
    pub fn body(&self, payload: impl Into<Payload>) -> ResponseBody {
        ResponseBody::new(payload.into(), Rc::clone(&self.shared.send_queue))
    }

    fn next_request(
        peer: SocketAddr,
        stream: &Rc<TcpStream>,
        shared: &Rc<ConnectionState>,
    ) -> Self {
        Self {
            peer,
            stream: Rc::clone(stream),
            request: shared.start_request(),
            shared: Rc::clone(shared),
        }
    }

    /// Returns true if the request, body included, was received completely, as counted by the
    /// framing validator.
    ///
    /// hyper also reports an incomplete body, by an error at its end. Storing a truncated image
    /// as complete would be the worst failure of an upload, so both have to agree.
    pub fn is_fully_received(&self) -> bool {
        self.shared.received_requests() >= self.request
    }

    /// Returns true if the connection can serve another request after this one. It cannot if the
    /// handler left a part of the body unread that has not been received.
    fn can_be_reused(&self) -> bool {
        self.shared.is_buffered(self.request)
    }

    /// Returns the framing error of the request that hyper passes to the handler, if there is one.
    fn rejected(&self) -> Option<RejectedRequest> {
        // A head without a verdict means that hyper and the validator disagree about where a
        // request begins. Such a request must not be served.
        self.shared.next_verdict().unwrap_or_else(|| {
            Some(RejectedRequest {
                error: FramingError::NotValidated,
                request_line: String::new(),
            })
        })
    }
}

/// Answers requests.
pub trait Handler: FastHandler + 'static {
    /// Answers one request. If `rejected` is set, `request` is only a substitute for a request
    /// with a framing error, and the response must report the error and close the connection.
    fn handle(
        self: Rc<Self>,
        connection: Connection,
        request: Request<Incoming>,
        rejected: Option<RejectedRequest>,
    ) -> impl Future<Output = Response<ResponseBody>>;
}

/// Serves a connection until it ends or the server state ends it.
///
/// An idle connection is parked: hyper and its buffers are dropped, and only the socket is kept
/// until the next request arrives.
///
/// # Errors
/// Those of hyper: the client closed the connection, or stalled.
pub async fn serve<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    settings: &ConnectionSettings,
    handler: Rc<H>,
    blocking: BlockingPool,
    mut state: watch::Receiver<ServerState>,
) -> hyper::Result<()> {
    let shared = Rc::<ConnectionState>::default();
    let stream = Rc::new(stream);
    let slow_client = SlowClientCheck::new(&stream, settings.min_rate_bytes);
    let mut transport = transport(settings, &stream, &shared, blocking);
    let mut idle_timer = IdleTimer::new(settings.stall);
    let max_fast_path_bytes = max_fast_path_bytes(settings);
    let client = ClientSocket {
        peer,
        stream: &stream,
        shared: &shared,
    };
    let now = state.clone();
    let mut shutting_down = pin!(state.wait_for(|state| *state == ServerState::ShuttingDown));
    loop {
        let mut answers = Vec::new();
        let next = poll_fn(|cx| {
            // A fast-path response has no `Connection: close`.
            let is_last = now.borrow().closes_connections();
            let limit = if is_last { 0 } else { max_fast_path_bytes };
            poll_next(&mut transport, cx, peer, limit, &*handler, &mut answers)
        });
        // Biased: a request that has arrived is answered even if a timer expires or the process
        // shuts down at the same time.
        let input = tokio::select! {
            biased;
            input = next => input,
            _ = shutting_down.as_mut() => FastPathInput::Closed,
            () = idle_timer.expired() => FastPathInput::Closed,
        };
        idle_timer.restart();
        // Responses of the fast path precede whatever hyper sends on this connection.
        let sent = transport.send_all(&answers).await;
        match input {
            FastPathInput::Closed => return Ok(()),
            _ if sent.is_err() => return Ok(()),
            FastPathInput::Answered => continue,
            FastPathInput::ForHyper => {}
        }
        // Boxed, so that the future of a parked connection has no space for hyper in it.
        let by_hyper = by_hyper(
            transport,
            client,
            settings,
            &handler,
            slow_client,
            Shutdown {
                state: &now,
                begins: shutting_down.as_mut(),
            },
        );
        match Box::pin(by_hyper).await? {
            Some(parked) => transport = parked,
            None => return Ok(()),
        }
    }
}

/// Returns the largest head of a request on the fast path. Zero disables the fast path.
///
/// A fast-path response keeps its connection open, so it is not used if connections are not kept.
fn max_fast_path_bytes(settings: &ConnectionSettings) -> usize {
    match settings.keep_alive {
        true => settings.max_head_bytes,
        false => 0,
    }
}

/// Creates the transport of a connection.
fn transport(
    settings: &ConnectionSettings,
    stream: &Rc<TcpStream>,
    shared: &Rc<ConnectionState>,
    blocking: BlockingPool,
) -> Transport {
    let limits = FramingLimits {
        head_bytes: settings.max_head_bytes,
        head_time: settings.stall,
    };
    let timeouts = SocketTimeouts {
        write_stall: settings.stall,
        linger: settings.linger,
    };
    let reads = ReadLimits {
        buffer_bytes: read_buffer_bytes(settings),
        all_buffers_bytes: settings.all_read_buffers_bytes,
    };
    Transport::new(
        Rc::clone(stream),
        Rc::clone(shared),
        limits,
        timeouts,
        reads,
        blocking,
    )
}

/// The server state, and the future that completes when the process shuts down.
struct Shutdown<'a, F> {
    state: &'a watch::Receiver<ServerState>,
    begins: Pin<&'a mut F>,
}

/// A client's socket and state.
#[derive(Clone, Copy)]
struct ClientSocket<'a> {
    peer: SocketAddr,
    stream: &'a Rc<TcpStream>,
    shared: &'a Rc<ConnectionState>,
}

/// Serves requests by hyper until the connection ends or is idle. Returns the transport of an
/// idle connection.
///
/// A client that has closed only its sending side still receives its response (RFC 9112, 9.6).
/// hyper therefore does not treat the end of the stream as a disconnect. A client that is gone
/// resets the connection, which is watched separately.
async fn by_hyper<H: Handler>(
    transport: Transport,
    client: ClientSocket<'_>,
    settings: &ConnectionSettings,
    handler: &Rc<H>,
    slow_client: SlowClientCheck,
    shutdown: Shutdown<'_, impl Future>,
) -> hyper::Result<Option<Transport>> {
    let _active = ActiveConnection::new();
    let ClientSocket {
        peer,
        stream,
        shared,
    } = client;
    let service = service_fn(|request| {
        let connection = Connection::next_request(peer, stream, shared);
        let rejected = connection.rejected();
        let answer = Rc::clone(handler).handle(connection.clone(), request, rejected);
        async move {
            let mut answer = answer.await;
            // Evaluated after the handler, so that a reload that began meanwhile is seen.
            if shutdown.state.borrow().closes_connections() || !connection.can_be_reused() {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = builder(settings).serve_connection(transport, service);
    // hyper is polled first, so that the idle check sees the state after its work.
    tokio::select! {
        biased;
        result = &mut http => return result.map(|()| None),
        () = idle(shared) => {
            // Nothing is lost with hyper: every request that it has read was answered, and bytes
            // of the next one stay in the validator.
            let mut transport = http.into_parts().io;
            transport.park();
            return Ok(Some(transport));
        }
        () = slow_client.too_slow() => {
            tracing::info!(%peer, "connection closed: the client receives data too slowly");
            return Ok(None);
        }
        () = reset(stream) => return Ok(None),
        _ = shutdown.begins => Pin::new(&mut http).graceful_shutdown(),
    }
    tokio::select! {
        biased;
        result = http => result.map(|()| None),
        () = reset(stream) => Ok(None),
    }
}

/// Returns when the client resets the connection.
async fn reset(stream: &TcpStream) {
    // An error means that the worker's runtime shuts down.
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
        // The framing validator limits time and size of a head, and reports both to the client.
        .header_read_timeout(None)
        .keep_alive(settings.keep_alive)
        .max_headers(MAX_HEADERS)
        .max_header_size(settings.max_head_bytes + SUBSTITUTE_BYTES)
        .max_buf_size(read_buffer_bytes(settings))
        .title_case_headers(true)
        .writev(true);
    builder
}
