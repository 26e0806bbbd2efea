//! What every request goes through, whatever door it knocks at.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::answer::Answer;
use super::errors::{self, Form};
use super::exchange::{Exchange, RequestId};
use crate::error::{Error, Kind, Result};
use crate::log;
use crate::metrics::{self, RequestInFlight, Transfer};
use crate::net::{Completion, Connection, Handler, ResponseBody, Violation};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// A door: what an API makes of requests.
pub trait Door: 'static {
    /// Answers a request. The first of the pair names the route in metrics, from a closed
    /// set.
    fn answer(
        self: Rc<Self>,
        exchange: Exchange,
    ) -> impl Future<Output = (&'static str, Result<Answer>)>;
}

/// Limits that hold at every door.
#[derive(Debug, Clone, Copy)]
pub struct FrameSettings {
    /// Longest header line, in bytes.
    pub max_header_line_bytes: usize,
    /// Whether each request gets a line in the log.
    pub access_log: bool,
}

/// A door with everything around it.
pub struct Frame<D> {
    door: Rc<D>,
    settings: FrameSettings,
}

impl<D: Door> Frame<D> {
    /// A frame around a door.
    pub fn new(door: D, settings: FrameSettings) -> Self {
        Self {
            door: Rc::new(door),
            settings,
        }
    }

    /// Refuses what must not be looked at.
    fn check(&self, exchange: &Exchange, violation: Option<Violation>) -> Result<()> {
        let refuse = |message: String| Err(Error::new(Kind::Invalid, message));
        if let Some(violation) = violation {
            return refuse(violation.to_string());
        }
        if exchange.head.uri.authority().is_some() && exchange.method() != Method::CONNECT {
            return refuse("The request's target must be a path.".to_owned());
        }
        let limit = self.settings.max_header_line_bytes;
        for (name, value) in exchange.headers() {
            // Colon, blank and line end.
            if name.as_str().len() + value.len() + 4 > limit {
                return refuse(format!("A header line may have at most {limit} bytes."));
            }
        }
        Ok(())
    }
}

impl<D: Door> Handler for Frame<D> {
    async fn handle(
        self: Rc<Self>,
        connection: Connection,
        request: Request<Incoming>,
        violation: Option<Violation>,
    ) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let exchange = Exchange {
            body: Some(body),
            connection: connection.clone(),
            request_id: RequestId::new(),
            began: Instant::now(),
            form: Form::accepted(&head.headers),
            head,
        };
        let record = AccessRecord::new(&exchange, self.settings.access_log);
        let form = exchange.form;
        let (route, result) = match self.check(&exchange, violation) {
            Ok(()) => Rc::clone(&self.door).answer(exchange).await,
            Err(error) => {
                let refused = errors::answer(&error, form).closing();
                ("refused", Ok(refused))
            }
        };
        let mut answer = result.unwrap_or_else(|error| {
            record.log_failure(&error);
            errors::answer(&error, form)
        });
        add_common_headers(&mut answer, &record);
        let transfer = answer.transfer.take();
        let record = record.answered(route, answer.status);
        answer.into_response(&connection).map(|body| {
            body.on_completion(Completion::new(move |sent_bytes, complete| {
                record.finish(transfer, sent_bytes, complete);
            }))
        })
    }
}

fn add_common_headers(answer: &mut Answer, record: &AccessRecord) {
    if let Ok(id) = HeaderValue::from_str(record.request_id.as_str()) {
        answer.headers.insert(REQUEST_ID.clone(), id);
    }
    if answer.close {
        answer
            .headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if answer.status == StatusCode::PAYLOAD_TOO_LARGE {
        metrics::quota_rejection();
    }
}

/// What the access log and the metrics say about a request.
struct AccessRecord {
    method: Method,
    path: String,
    version: Version,
    connection: Connection,
    request_id: RequestId,
    began: Instant,
    in_flight: RequestInFlight,
    log: bool,
}

/// A record whose answer is known.
struct Answered {
    record: AccessRecord,
    route: &'static str,
    status: StatusCode,
}

impl AccessRecord {
    fn new(exchange: &Exchange, log: bool) -> Self {
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
    fn log_failure(&self, error: &Error) {
        let request_id = self.request_id.as_str();
        let cause = error.cause().unwrap_or_default();
        match error.kind() {
            Kind::Internal | Kind::Unavailable { .. } => {
                tracing::error!(
                    request_id,
                    message = error.message(),
                    cause,
                    "request failed"
                );
            }
            _ => tracing::debug!(
                request_id,
                message = error.message(),
                cause,
                "request refused"
            ),
        }
    }

    fn answered(self, route: &'static str, status: StatusCode) -> Answered {
        Answered {
            record: self,
            route,
            status,
        }
    }
}

impl Answered {
    fn finish(self, transfer: Option<Transfer>, sent_bytes: u64, complete: bool) {
        let Answered {
            record,
            route,
            status,
        } = self;
        let took = record.began.elapsed();
        if let Some(transfer) = transfer {
            transfer.moved(sent_bytes);
        }
        if record.log {
            log_access(&record, status, took, sent_bytes, complete);
        }
        record
            .in_flight
            .ends(route, method_label(&record.method), status.as_u16(), took);
    }
}

fn log_access(
    record: &AccessRecord,
    status: StatusCode,
    took: Duration,
    sent_bytes: u64,
    complete: bool,
) {
    let received_bytes = record.connection.take_received_bytes();
    tracing::info!(
        target: log::ACCESS,
        peer = %record.connection.peer(),
        status = status.as_u16(),
        sent_bytes,
        received_bytes,
        duration_ms = format_args!("{:.3}", took.as_secs_f64() * 1000.0),
        complete,
        request_id = record.request_id.as_str(),
        "{} {} {:?}", record.method, record.path, record.version
    );
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
