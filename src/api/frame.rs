//! What every request goes through, whatever door it knocks at.

use std::rc::Rc;
use std::time::Instant;

use http::header::{CONNECTION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::access::{AccessRecord, Line};
use super::answer::Answer;
use super::errors::{self, Form};
use super::exchange::{Exchange, RequestId};
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, Transfer};
use crate::net::{
    Completion, Connection, Handler, PlainHandler, PlainRequest, ResponseBody, Violation,
};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// A door: what an API makes of requests.
pub trait Door: 'static {
    /// Answers a request. The first of the pair names the route in metrics, from a closed
    /// set.
    fn answer(
        self: Rc<Self>,
        exchange: Exchange,
    ) -> impl Future<Output = (&'static str, Result<Answer>)>;

    /// Answers a request that needs no waiting and no body: writes status line and headers,
    /// without the empty line at the end, and returns route and status. Whatever this does
    /// not answer goes the long way, which must give the same answer.
    fn answer_plain(
        &self,
        _request: &PlainRequest<'_>,
        _out: &mut Vec<u8>,
    ) -> Option<(&'static str, u16)> {
        None
    }

    /// What `WWW-Authenticate` says in answers of 401.
    fn challenge(&self) -> Option<&str> {
        None
    }
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

    /// What the door answers. A change is carried through when its client leaves in the
    /// middle: its record may be written already, and data to be removed be known to nobody
    /// else.
    async fn answer(&self, exchange: Exchange) -> (&'static str, Result<Answer>) {
        let changes_nothing = exchange.method().is_safe();
        let answer = Rc::clone(&self.door).answer(exchange);
        if changes_nothing {
            return answer.await;
        }
        match tokio::task::spawn_local(answer).await {
            Ok(answer) => answer,
            Err(panicked) => ("panicked", Err(Error::internal(panicked))),
        }
    }
}

impl<D: Door> PlainHandler for Frame<D> {
    fn handle_plain(&self, request: &PlainRequest<'_>, out: &mut Vec<u8>) -> bool {
        if request.head_bytes > self.settings.max_header_line_bytes {
            return false;
        }
        let began = Instant::now();
        let Some((route, status)) = self.door.answer_plain(request, out) else {
            return false;
        };
        let request_id = RequestId::new();
        out.extend_from_slice(b"x-openstack-request-id: ");
        out.extend_from_slice(request_id.as_str().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        let took = began.elapsed();
        if self.settings.access_log {
            let (method, target) = (request.method, request.target);
            Line {
                peer: request.peer,
                request: format_args!("{method} {target} HTTP/1.1"),
                status,
                sent_bytes: 0,
                received_bytes: request.head_bytes as u64,
                took,
                complete: true,
                request_id,
            }
            .write();
        }
        metrics::plain_request(route, "HEAD", status, took);
        true
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
            Ok(()) => self.answer(exchange).await,
            Err(error) => {
                let refused = errors::answer(&error, form).closing();
                ("refused", Ok(refused))
            }
        };
        let mut answer = result.unwrap_or_else(|error| {
            record.log_failure(&error);
            errors::answer(&error, form)
        });
        if answer.status == StatusCode::UNAUTHORIZED
            && let Some(challenge) = self.door.challenge()
        {
            answer = answer.with(WWW_AUTHENTICATE, challenge);
        }
        add_common_headers(&mut answer, &record);
        let transfer = answer.transfer.take();
        let progress = transfer.as_ref().map(Transfer::progress);
        let record = record.answered(route, answer.status);
        answer.into_response(&connection).map(|body| {
            let body = body.counted_by(progress);
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
