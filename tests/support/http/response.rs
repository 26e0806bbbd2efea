//! Responses that the test client receives.

use std::io::{self, ErrorKind};

/// The head of a response.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    pub status: u16,
    pub version: String,
    /// Headers in the order and spelling of the response, values byte for byte.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl ResponseHead {
    /// Returns the value of a header as text; `None` if it is missing.
    ///
    /// # Panics
    /// Panics if the header occurs twice or is not UTF-8.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.header_bytes(name)?;
        Some(std::str::from_utf8(value).expect("a header in UTF-8"))
    }

    /// Returns the value of a header in bytes, like [`ResponseHead::header`].
    #[track_caller]
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        let is_it = |(own, _): &&(String, Vec<u8>)| own.eq_ignore_ascii_case(name);
        let mut values = self.headers.iter().filter(is_it);
        let value = values.next().map(|(_, value)| value.as_slice());
        assert!(values.next().is_none(), "{name} came twice");
        value
    }
}

/// A response with its body.
#[derive(Debug, Clone)]
pub struct Response {
    pub head: ResponseHead,
    pub body: Vec<u8>,
}

impl std::ops::Deref for Response {
    type Target = ResponseHead;

    fn deref(&self) -> &ResponseHead {
        &self.head
    }
}

impl Response {
    /// Returns the body as text.
    ///
    /// # Panics
    /// Panics if it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// Panics if it is not JSON or has another content type.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Returns the response if it has this status.
    ///
    /// # Panics
    /// Panics with the whole response if it has another status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]);
        assert_eq!(self.status, status, "{:?}\n{body}", self.head);
        self
    }
}

pub(super) fn parse_head(head: &[u8]) -> io::Result<ResponseHead> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let status_line = lines.next().unwrap_or_default();
    let status_line = String::from_utf8_lossy(status_line.trim_ascii_end()).into_owned();
    let mut words = status_line.splitn(3, ' ');
    let version = words.next().unwrap_or_default().to_owned();
    let status = words.next().and_then(|word| word.parse().ok());
    let headers = lines.map(|line| {
        let colon = line.iter().position(|byte| *byte == b':');
        let colon = colon.ok_or_else(|| invalid("a header line"))?;
        let name = String::from_utf8_lossy(&line[..colon]).into_owned();
        Ok((name, line[colon + 1..].trim_ascii().to_vec()))
    });
    Ok(ResponseHead {
        status: status.ok_or_else(|| invalid("a status line"))?,
        version,
        headers: headers.collect::<io::Result<_>>()?,
    })
}

pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("unexpected: {what}"))
}
