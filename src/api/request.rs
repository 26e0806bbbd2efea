//! A request as the APIs handle it: the HTTP request, its connection, its id and the format of
//! its errors.

use std::time::Instant;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method};
use hyper::body::Incoming;

use super::errors::ErrorFormat;
use super::request_id::RequestId;
use crate::net::{Authority, Connection};

/// A request that an API handles.
pub struct ApiRequest {
    /// The head.
    pub head: Parts,
    /// The body; `None` after a handler has taken it.
    pub body: Option<Incoming>,
    /// The connection, which makes the response's body.
    pub connection: Connection,
    /// The format of errors that the client accepts.
    pub error_format: ErrorFormat,
    /// The request's id in logs and responses.
    pub request_id: RequestId,
    /// The time at which its head had been read.
    pub began: Instant,
}

impl ApiRequest {
    /// Returns the method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Returns the authority that the client addressed: that of an absolute target, which takes
    /// precedence, or Host (RFC 9112, 3.2.2). `None` if the client names none.
    pub fn authority(&self) -> Option<Authority> {
        let host = || self.headers().get(HOST).map(|host| host.as_bytes());
        let target = self.head.uri.authority();
        let target = target.map(|authority| authority.as_str().as_bytes());
        Authority::parse(target.or_else(host)?)
    }

    /// Returns the value of a header; `None` if it is absent or not text.
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}
