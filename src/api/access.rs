//! What the access log and the metrics say about a request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::{Method, StatusCode, Version};

use super::exchange::{Exchange, RequestId};
use crate::error::{Error, Kind};
use crate::log;
use crate::metrics::{self, RequestInFlight, Transfer};
use crate::net::Connection;

/// A request that is being answered.
pub(super) struct AccessRecord {
    method: Method,
    path: String,
    version: Version,
    connection: Connection,
    pub(super) request_id: RequestId,
    began: Instant,
    in_flight: RequestInFlight,
    log: bool,
}

/// A record whose answer is known.
pub(super) struct Answered {
    record: AccessRecord,
    route: &'static str,
    status: StatusCode,
}

impl AccessRecord {
    pub(super) fn new(exchange: &Exchange, log: bool) -> Self {
        let target = exchange.head.uri.path_and_query();
        Self {
            method: exchange.method().clone(),
            path: if log {
                target.map(ToString::to_string).unwrap_or_default()
            } else {
                String::new()
            },
            version: exchange.head.version,
            connection: exchange.connection.clone(),
            request_id: exchange.request_id,
            began: exchange.began,
            in_flight: metrics::request_begins(),
            log,
        }
    }

    /// A failure is logged once, here, with what the client is not told.
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

    pub(super) fn answered(self, route: &'static str, status: StatusCode) -> Answered {
        Answered {
            record: self,
            route,
            status,
        }
    }
}

impl Answered {
    pub(super) fn finish(self, transfer: Option<Transfer>, sent_bytes: u64, complete: bool) {
        let Answered {
            record,
            route,
            status,
        } = self;
        let took = record.began.elapsed();
        if let Some(transfer) = transfer {
            transfer.moved_in_all(sent_bytes);
        }
        if record.log {
            Line {
                peer: record.connection.peer(),
                request: format_args!("{} {} {:?}", record.method, record.path, record.version),
                status: status.as_u16(),
                sent_bytes,
                received_bytes: record.connection.take_received_bytes(),
                took,
                complete,
                request_id: record.request_id,
            }
            .write();
        }
        let method = method_label(&record.method);
        record.in_flight.ends(route, method, status.as_u16(), took);
    }
}

/// A line of the access log.
pub(super) struct Line<'a> {
    pub(super) peer: SocketAddr,
    pub(super) request: std::fmt::Arguments<'a>,
    pub(super) status: u16,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) took: Duration,
    pub(super) complete: bool,
    pub(super) request_id: RequestId,
}

impl Line<'_> {
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

/// Methods as labels: those that exist, and one word for all that clients make up.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
