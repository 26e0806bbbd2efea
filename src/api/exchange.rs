//! One request and what is known about it.

use std::cell::Cell;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, Method};
use hyper::body::Incoming;
use uuid::Uuid;

use super::errors::Form;
use crate::net::Connection;

/// A request being answered.
pub struct Exchange {
    /// The head.
    pub head: Parts,
    /// The body; taken by whoever reads it.
    pub body: Option<Incoming>,
    /// The connection it came by, which makes the answer's body.
    pub connection: Connection,
    /// The form of errors that the client reads.
    pub form: Form,
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
    /// A new one. Names must differ, not be secret: each thread draws one random number from
    /// the system and steps on from it, which spares a system call a request.
    pub fn new() -> Self {
        thread_local! {
            static LAST: Cell<u128> = Cell::new(Uuid::new_v4().as_u128());
        }
        // An odd step visits every number before it comes back.
        let number = LAST
            .get()
            .wrapping_add(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        LAST.set(number);
        let uuid = uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid();
        let mut text = *b"req-                                    ";
        uuid.hyphenated().encode_lower(&mut text[4..]);
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
