//! The server's answer: its head, and its body as it comes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::connection::Connection;
use super::error::{ClientError, Result, io_cause};

/// Idle connections kept for the next request.
const MAX_IDLE: usize = 4;
/// Largest JSON answer: a thousand images with many properties.
const MAX_JSON_BYTES: usize = 64 * 1024 * 1024;
/// Largest error answer that is read.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// Longest part of an error answer that is shown, in characters.
const MAX_MESSAGE_CHARS: usize = 2000;

/// Connections that wait for the next request.
pub(super) type IdleConnections = Arc<Mutex<Vec<Connection>>>;

/// An answer whose head is there. Its connection goes back to the idle ones when the body
/// has been read to its end, and is closed otherwise.
pub(super) struct ApiResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Incoming,
    connection: Option<Connection>,
    idle: IdleConnections,
    address: String,
    silence_limit: Duration,
    /// Whether the request is still being sent, so that the connection cannot be kept.
    is_unfinished: bool,
}

impl ApiResponse {
    pub(super) fn new(
        response: hyper::Response<Incoming>,
        connection: Connection,
        idle: IdleConnections,
        address: String,
        silence_limit: Duration,
    ) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
            connection: Some(connection),
            idle,
            address,
            silence_limit,
            is_unfinished: false,
        }
    }

    /// Marks the request as not sent to its end: the connection is closed after the answer.
    pub(super) fn of_unfinished_request(mut self) -> Self {
        self.is_unfinished = true;
        self
    }

    /// The next bytes of the body; none at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    self.connection = None;
                    return Err(describe(error, &self.address, self.silence_limit));
                }
                None => {
                    self.release();
                    return Ok(None);
                }
            }
        }
    }

    /// This answer if it is a success, else the refusal it tells of.
    pub(super) async fn success(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let status = self.status;
        tracing::debug!(status = status.as_u16(), "refused");
        Err(ClientError::from_status(status, self.refusal().await))
    }

    /// Reads the body as JSON.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes(MAX_JSON_BYTES).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ClientError::Protocol(format!("no valid JSON ({error})")))
    }

    /// Reads the body to its end and drops it.
    pub(super) async fn discard(self) -> Result<()> {
        self.bytes(MAX_JSON_BYTES).await.map(drop)
    }

    async fn bytes(mut self, most: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > most {
                return Err(ClientError::Protocol(format!(
                    "it is longer than {most} bytes"
                )));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// The words of a refusal. What cannot be read leaves the standard words of the status.
    async fn refusal(self) -> String {
        let status = self.status;
        let is_html = self
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let body = self.bytes(MAX_REFUSAL_BYTES).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        let words = match serde_json::from_str::<Value>(&text) {
            Ok(json) => json_message(&json).unwrap_or_default(),
            Err(_) if is_html => without_tags(&text),
            Err(_) => plain_message(&text),
        };
        if words.is_empty() {
            let standard = status.canonical_reason().unwrap_or("The server refused");
            return format!("{standard}.");
        }
        words.chars().take(MAX_MESSAGE_CHARS).collect()
    }

    fn release(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if self.is_unfinished {
            return;
        }
        connection.is_reused = true;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|other| !other.sender.is_closed());
        if idle.len() < MAX_IDLE && !connection.sender.is_closed() {
            idle.push(connection);
        }
    }
}

/// What a failure of the HTTP library means.
pub(super) fn describe(error: hyper::Error, address: &str, silence_limit: Duration) -> ClientError {
    if let Some(cause) = io_cause(&error) {
        if cause.kind() == std::io::ErrorKind::TimedOut {
            return ClientError::Timeout {
                address: address.to_owned(),
                limit: silence_limit,
            };
        }
        return ClientError::Disconnected {
            address: address.to_owned(),
            source: std::io::Error::new(cause.kind(), cause.to_string()),
        };
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return ClientError::Disconnected {
            address: address.to_owned(),
            source: std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the server closed it before its answer was complete",
            ),
        };
    }
    ClientError::Protocol(error.to_string())
}

/// `{"message": …}`, as Glance has it, or the same one level down, as other services do.
fn json_message(json: &Value) -> Option<String> {
    let object = json.as_object()?;
    let direct = object.get("message").and_then(Value::as_str);
    let nested = || {
        let mut inner = object.values().filter_map(|value| value.get("message"));
        inner.find_map(Value::as_str)
    };
    // Glance puts a standard sentence and a break of HTML before its own words.
    let own = |text: &str| {
        let last = text.rsplit("<br /><br />").next().unwrap_or_default();
        last.trim().to_owned()
    };
    direct.or_else(nested).map(own)
}

/// The last paragraph: before it come the status and a standard sentence.
fn plain_message(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(str::trim);
    let last = paragraphs.filter(|paragraph| !paragraph.is_empty()).last();
    last.unwrap_or_default().to_owned()
}

fn without_tags(html: &str) -> String {
    let mut text = String::new();
    for piece in html.split('<') {
        let after = piece.split_once('>').map_or(piece, |(_, after)| after);
        text.push(' ');
        text.push_str(after);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_words_of_a_refusal() {
        let flat = serde_json::json!({"message": " Gone ", "code": "404 Not Found"});
        assert_eq!(json_message(&flat).as_deref(), Some("Gone"));
        let long = "There was a conflict.<br /><br />\nImage exists\n\n";
        let long = serde_json::json!({"message": long});
        assert_eq!(json_message(&long).as_deref(), Some("Image exists"));
        let nested = serde_json::json!({"error": {"message": "no", "code": 401}});
        assert_eq!(json_message(&nested).as_deref(), Some("no"));
        assert_eq!(json_message(&serde_json::json!([1])), None);
        let plain = "409 Conflict\n\nThere was a conflict.\n\n Image exists \n\n";
        assert_eq!(plain_message(plain), "Image exists");
        let html = "<html><h1>404</h1>Image <b>x</b> not found</html>";
        assert_eq!(without_tags(html), "404 Image x not found");
    }
}
