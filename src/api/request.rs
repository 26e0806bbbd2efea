//! One request and what is known about it.

use std::time::Instant;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method};
use hyper::body::Incoming;

use super::errors::ErrorFormat;
use super::request_id::RequestId;
use crate::net::{Authority, Connection};

/// A request being answered.
pub struct ApiRequest {
    /// The head.
    pub head: Parts,
    /// The body; taken by whoever reads it.
    pub body: Option<Incoming>,
    /// The connection it came by, which makes the answer's body.
    pub connection: Connection,
    /// The form of errors that the client reads.
    pub error_format: ErrorFormat,
    /// The request's name in logs and answers.
    pub request_id: RequestId,
    /// When its head had come in.
    pub began: Instant,
}

impl ApiRequest {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The authority that the client asked: that of an absolute target, which wins, or Host (RFC
    /// 9112, 3.2.2). `None` when the client names none.
    pub fn authority(&self) -> Option<Authority> {
        let host = || self.headers().get(HOST).map(|host| host.as_bytes());
        let target = self.head.uri.authority();
        let target = target.map(|authority| authority.as_str().as_bytes());
        Authority::parse(target.or_else(host)?)
    }

    /// The text of a header, when it is there and is text.
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}
