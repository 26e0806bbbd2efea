//! The access log line and the metrics of each request.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::{Method, StatusCode, Uri, Version};

use super::request::ApiRequest;
use super::request_id::RequestId;
use crate::error::{Error, Kind};
use crate::log;
use crate::metrics::{self, RequestInFlight, Transfer};
use crate::net::{Connection, RejectedRequest};

/// The route of requests whose handler was dropped with its connection.
const ABANDONED: &str = "abandoned";

/// The status of requests whose client disconnected before the response, as in nginx.
const CLIENT_GONE: u16 = 499;

/// The access record of a request in progress. It is written exactly once, however the request
/// ends: `Drop` writes the record of a handler that was cancelled or panicked.
pub(super) struct AccessRecord {
    request_line: RequestLine,
    method: &'static str,
    connection: Connection,
    pub(super) request_id: RequestId,
    began: Instant,
    /// Route and status, once the handler has returned.
    response: Option<(&'static str, StatusCode)>,
    /// `None` after the record is written.
    in_flight: Option<RequestInFlight>,
    log: bool,
}

/// The first line of a request.
enum RequestLine {
    Parsed {
        method: Method,
        target: Uri,
        version: Version,
    },
    /// Of a rejected request: the text as received.
    Text(String),
    /// The access log is off.
    Unlogged,
}

impl AccessRecord {
    pub(super) fn new(request: &ApiRequest, refusal: Option<&RejectedRequest>, log: bool) -> Self {
        let request_line = match refusal {
            _ if !log => RequestLine::Unlogged,
            Some(refusal) => RequestLine::Text(refusal.request_line.clone()),
            None => RequestLine::Parsed {
                method: request.method().clone(),
                target: request.head.uri.clone(),
                version: request.head.version,
            },
        };
        let method = match refusal {
            Some(refusal) => refusal.request_line.split(' ').next().unwrap_or_default(),
            None => request.method().as_str(),
        };
        Self {
            request_line,
            method: method_label(method),
            connection: request.connection.clone(),
            request_id: request.request_id.clone(),
            began: request.began,
            response: None,
            in_flight: Some(metrics::request_begins()),
            log,
        }
    }

    /// Logs a failure with its cause, which the client does not see. This is the only place.
    pub(super) fn log_failure(&self, error: &Error) {
        let request_id = self.request_id.as_str();
        let cause = error.cause().unwrap_or_default();
        match error.kind() {
            Kind::Internal | Kind::Unavailable { .. } => {
                tracing::error!(
                    request_id,
                    reason = error.message(),
                    cause,
                    "request failed"
                );
            }
            _ => tracing::debug!(
                request_id,
                reason = error.message(),
                cause,
                "request refused"
            ),
        }
    }

    /// Records the response.
    pub(super) fn set_response(&mut self, route: &'static str, status: StatusCode) {
        self.response = Some((route, status));
    }

    /// Writes the record after the response was sent, or cut off.
    pub(super) fn finish(mut self, transfer: Option<Transfer>, sent_bytes: u64, complete: bool) {
        if let Some(transfer) = transfer {
            transfer.moved_in_all(sent_bytes);
        }
        self.write(sent_bytes, complete);
    }

    fn write(&mut self, sent_bytes: u64, complete: bool) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        let took = self.began.elapsed();
        let (route, status) = match self.response {
            Some((route, status)) => (route, status.as_u16()),
            None if std::thread::panicking() => ("panicked", 500),
            None => (ABANDONED, CLIENT_GONE),
        };
        if self.log {
            AccessLogLine {
                peer: self.connection.peer(),
                request: format_args!("{}", self.request_line),
                status,
                sent_bytes,
                received_bytes: self.connection.take_received_bytes(),
                took,
                complete,
                request_id: &self.request_id,
            }
            .write();
        }
        in_flight.ends(route, self.method, status, took);
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        self.write(0, false);
    }
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestLine::Parsed {
                method,
                target,
                version,
            } => write!(f, "{method} {target} {version:?}"),
            RequestLine::Text(line) => f.write_str(line),
            RequestLine::Unlogged => Ok(()),
        }
    }
}

/// A line of the access log.
pub(super) struct AccessLogLine<'a> {
    pub(super) peer: SocketAddr,
    pub(super) request: std::fmt::Arguments<'a>,
    pub(super) status: u16,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) took: Duration,
    pub(super) complete: bool,
    pub(super) request_id: &'a RequestId,
}

impl AccessLogLine<'_> {
    pub(super) fn write(&self) {
        tracing::info!(
            target: log::ACCESS,
            peer = %self.peer,
            status = self.status,
            sent_bytes = self.sent_bytes,
            received_bytes = self.received_bytes,
            duration_ms = format_args!("{:.3}", self.took.as_secs_f64() * 1000.0),
            complete = self.complete,
            request_id = self.request_id.as_str(),
            "{}", self.request
        );
    }
}

/// Returns the label of a method in metrics. Unknown methods share one label, so that clients
/// cannot create any number of time series.
fn method_label(method: &str) -> &'static str {
    match method {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
