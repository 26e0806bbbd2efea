//! Responses of the APIs, before the connection sends them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::metrics::Transfer;
use crate::net::{Connection, ResponseBody};
use crate::transfer::{LazyText, Payload, TextRenderer};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");

/// A response: status, headers and body.
pub struct ApiResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers, without those that `server` adds to every response.
    pub headers: HeaderMap,
    /// The body.
    pub payload: Payload,
    /// True if the connection is closed after the response.
    pub close: bool,
    /// The download that the body is, whose bytes are counted as they are sent.
    pub transfer: Option<Transfer>,
}

impl ApiResponse {
    /// Returns a response without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            payload: Payload::Empty,
            close: false,
            transfer: None,
        }
    }

    /// Returns a response with a body in memory.
    pub fn of(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        let mut response = Self::empty(status);
        response.payload = body.into().into();
        response.headers.insert(CONTENT_TYPE, content_type);
        response
    }

    /// Returns a JSON body that is rendered already.
    pub fn json_text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::of(status, JSON, text)
    }

    /// Returns 200 with a value as JSON.
    ///
    /// # Errors
    /// `Internal` if the value cannot be written as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self> {
        Self::json_as(JSON, value)
    }

    /// As [`ApiResponse::json`], with another media type.
    pub fn json_as(content_type: HeaderValue, value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(Error::internal)?;
        Ok(Self::of(StatusCode::OK, content_type, body))
    }

    /// Returns a response with a text. A long text is rendered piece by piece as the client reads
    /// it, so its size is unknown when the head is sent and it has no Content-Length.
    pub fn rendered(
        status: StatusCode,
        content_type: HeaderValue,
        text: impl TextRenderer + 'static,
    ) -> Self {
        match LazyText::begin(text) {
            Ok(whole) => Self::of(status, content_type, whole),
            Err(rest) => {
                let mut response = Self::empty(status);
                response.payload = Payload::Text(Box::new(rest));
                response.headers.insert(CONTENT_TYPE, content_type);
                response
            }
        }
    }

    /// Adds a header; a value that no header can have is left out.
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds a header.
    pub fn with_value(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Closes the connection after this response.
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Returns the response as hyper sends it.
    pub(super) fn into_response(self, connection: &Connection) -> Response<ResponseBody> {
        let mut response = Response::new(connection.body(self.payload));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
