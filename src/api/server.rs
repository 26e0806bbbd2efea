//! The part of request handling that all APIs share: limits of headers, request ids, error
//! responses, caching headers, metrics and the access log. `net` calls it for each request.

use std::rc::Rc;
use std::time::Instant;

use http::header::{CONNECTION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::access_log::{AccessLogLine, AccessRecord};
use super::caching::CacheHeaders;
use super::errors::{self, ErrorFormat};
use super::request::ApiRequest;
use super::request_id::{self, RequestId, TooLong};
use super::response::ApiResponse;
use crate::error::{Error, Result};
use crate::metrics::{self, Transfer};
use crate::net::{
    Completion, Connection, FastHandler, FastRequest, Handler, RejectedRequest, ResponseBody,
};

static REQUEST_ID: HeaderName = HeaderName::from_static(request_id::REQUEST_ID);

/// An API: turns a request into a response.
pub trait Api: 'static {
    /// Handles a request. The first of the pair is the route's name in metrics, from a fixed set.
    fn handle(
        self: Rc<Self>,
        request: ApiRequest,
    ) -> impl Future<Output = (&'static str, Result<ApiResponse>)>;

    /// Handles a request that requires neither waiting nor a response body: writes status line and
    /// headers without the final empty line, and returns route and status. `None` leaves the
    /// request to [`Api::handle`], which must give the same response.
    fn handle_fast(
        &self,
        _request: &FastRequest<'_>,
        _out: &mut Vec<u8>,
    ) -> Option<(&'static str, u16)> {
        None
    }

    /// Returns the value of `WWW-Authenticate` in responses of 401.
    fn challenge(&self) -> Option<&str> {
        None
    }

    /// Returns the request headers that identify the caller, separated by commas; empty if every
    /// caller gets the same responses.
    fn identity_headers(&self) -> &'static str {
        ""
    }
}

/// Settings that all APIs share.
#[derive(Debug, Clone, Copy)]
pub struct ApiServerSettings {
    /// Longest header line, in bytes.
    pub max_header_line_bytes: usize,
    /// Longest request id that a client may send, in bytes.
    pub max_request_id_bytes: usize,
    /// True if each request is written to the access log.
    pub access_log: bool,
}

/// Serves an API on the connections of one worker thread.
pub struct ApiServer<A> {
    api: Rc<A>,
    settings: ApiServerSettings,
    caching: CacheHeaders,
}

impl<A: Api> ApiServer<A> {
    /// Creates the server of an API.
    pub fn new(api: A, settings: ApiServerSettings) -> Self {
        Self {
            caching: CacheHeaders::new(api.identity_headers()),
            api: Rc::new(api),
            settings,
        }
    }

    /// Returns the response to a request that no API may see: malformed, or over a limit.
    fn refused(
        &self,
        request: &ApiRequest,
        refusal: Option<&RejectedRequest>,
        has_long_id: bool,
    ) -> Option<ApiResponse> {
        let refuse = |status, message: &str| {
            let page = errors::status_response(status, message, request.error_format);
            Some(page.closing())
        };
        if let Some(RejectedRequest {
            error: violation, ..
        }) = refusal
        {
            return refuse(violation.status(), &violation.to_string());
        }
        if has_long_id {
            let limit = self.settings.max_request_id_bytes;
            let message = format!("X-Openstack-Request-Id may have at most {limit} characters.");
            return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &message);
        }
        let limit = self.settings.max_header_line_bytes;
        for (name, value) in request.headers() {
            // Colon, space, CR and LF.
            if name.as_str().len() + value.len() + 4 > limit {
                let message = format!("A header line may have at most {limit} bytes.");
                return refuse(StatusCode::BAD_REQUEST, &message);
            }
        }
        None
    }

    /// Handles a request. One that may change something runs to completion even if its client
    /// disconnects: hyper drops the handler of a closed connection, and an image's record may
    /// already be written while its data wait to be removed.
    async fn handle_to_end(self: Rc<Self>, request: ApiRequest, record: AccessRecord) -> Outcome {
        let (error_format, request_id) = (request.error_format, record.request_id.clone());
        let changes_nothing = request.method().is_safe();
        let outcome = self.handle_inner(request, record);
        if changes_nothing {
            return outcome.await;
        }
        match tokio::task::spawn_local(outcome).await {
            Ok(outcome) => outcome,
            Err(panicked) => {
                let error = Error::internal(panicked);
                tracing::error!(request_id = request_id.as_str(), ?error, "request failed");
                // The access record was written when the task dropped it.
                (
                    with_common_headers(errors::error_response(&error, error_format), &request_id),
                    None,
                )
            }
        }
    }

    async fn handle_inner(
        self: Rc<Self>,
        request: ApiRequest,
        mut record: AccessRecord,
    ) -> Outcome {
        let error_format = request.error_format;
        let (route, result) = Rc::clone(&self.api).handle(request).await;
        let mut response = result.unwrap_or_else(|error| {
            record.log_failure(&error);
            errors::error_response(&error, error_format)
        });
        // RFC 9110, 15.5.2: a 401 must have a challenge.
        if response.status == StatusCode::UNAUTHORIZED
            && let Some(challenge) = self.api.challenge()
        {
            response = response.with(WWW_AUTHENTICATE, challenge);
        }
        record.set_response(route, response.status);
        let response = with_common_headers(response, &record.request_id);
        (response, Some(record))
    }
}

/// A response, and the access record of its request unless that is finished.
type Outcome = (ApiResponse, Option<AccessRecord>);

impl<A: Api> FastHandler for ApiServer<A> {
    fn handle_fast(&self, request: &FastRequest<'_>, out: &mut Vec<u8>) -> bool {
        // No line of a head can be longer than the head. A longer head may still be within the
        // limits, which `refused` checks line by line.
        if request.head_bytes > self.settings.max_header_line_bytes {
            return false;
        }
        let given = request.header(request_id::REQUEST_ID);
        let Ok(request_id) = RequestId::adopt(given, self.settings.max_request_id_bytes) else {
            return false;
        };
        let began = Instant::now();
        let Some((route, status)) = self.api.handle_fast(request, out) else {
            return false;
        };
        out.extend_from_slice(self.caching.lines());
        out.extend_from_slice(b"X-Openstack-Request-Id: ");
        out.extend_from_slice(request_id.as_str().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        let took = began.elapsed();
        if self.settings.access_log {
            let (method, target) = (request.method, request.target);
            AccessLogLine {
                peer: request.peer,
                request: format_args!("{method} {target} HTTP/1.1"),
                status,
                sent_bytes: 0,
                received_bytes: request.head_bytes as u64,
                took,
                complete: true,
                request_id: &request_id,
            }
            .write();
        }
        metrics::fast_request(route, "HEAD", status, took);
        true
    }
}

impl<A: Api> Handler for ApiServer<A> {
    async fn handle(
        self: Rc<Self>,
        connection: Connection,
        request: Request<Incoming>,
        refusal: Option<RejectedRequest>,
    ) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let given = head.headers.get(&REQUEST_ID).map(HeaderValue::as_bytes);
        let adopted = RequestId::adopt(given, self.settings.max_request_id_bytes);
        let has_long_id = adopted.is_err();
        let request = ApiRequest {
            body: Some(body),
            connection: connection.clone(),
            began: Instant::now(),
            error_format: ErrorFormat::accepted(&head.headers),
            head,
            request_id: adopted.unwrap_or_else(|TooLong| RequestId::new()),
        };
        let mut record = AccessRecord::new(&request, refusal.as_ref(), self.settings.access_log);
        let refused = self.refused(&request, refusal.as_ref(), has_long_id);
        let (mut response, record) = match refused {
            None => Rc::clone(&self).handle_to_end(request, record).await,
            Some(refused) => {
                record.set_response("refused", refused.status);
                (
                    with_common_headers(refused, &record.request_id),
                    Some(record),
                )
            }
        };
        self.caching.add_to(&mut response.headers);
        // The record is written when the body has been sent or dropped, because only then the
        // number of bytes and the duration are known.
        let transfer = response.transfer.take();
        let progress = transfer.as_ref().map(Transfer::progress);
        response.into_response(&connection).map(|body| {
            let body = body.counted_by(progress);
            body.on_completion(Completion::new(move |sent_bytes, complete| {
                if let Some(record) = record {
                    record.finish(transfer, sent_bytes, complete);
                }
            }))
        })
    }
}

/// Adds the headers that every response has.
fn with_common_headers(mut response: ApiResponse, request_id: &RequestId) -> ApiResponse {
    if let Ok(id) = HeaderValue::from_str(request_id.as_str()) {
        response.headers.insert(REQUEST_ID.clone(), id);
    }
    if response.close {
        response
            .headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if response.status == StatusCode::PAYLOAD_TOO_LARGE {
        metrics::quota_rejection();
    }
    response
}
