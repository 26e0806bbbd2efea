//! One request and what is known about it.

use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, Method};
use hyper::body::Incoming;
use uuid::Uuid;

use crate::net::Connection;

/// A request being answered.
pub struct Exchange {
    /// The head.
    pub head: Parts,
    /// The body; taken by whoever reads it.
    pub body: Option<Incoming>,
    /// The connection it came by, which makes the answer's body.
    pub connection: Connection,
    /// The request's name in logs and answers.
    pub request_id: RequestId,
    /// When its head had come in.
    pub began: Instant,
}

impl Exchange {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The text of a header, when it is there and is text.
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// The name of a request: `req-` and a UUID, as OpenStack's services write it.
#[derive(Clone, Copy)]
pub struct RequestId {
    text: [u8; 40],
}

impl RequestId {
    /// A new one.
    pub fn new() -> Self {
        let mut text = *b"req-                                    ";
        Uuid::new_v4().hyphenated().encode_lower(&mut text[4..]);
        Self { text }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever put in.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
