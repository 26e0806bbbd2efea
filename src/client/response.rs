//! A response of the server: its status and headers, and its body as it arrives. Successful
//! bodies are parsed or streamed; of a refusal the message is extracted, in whichever of Glance's
//! forms (JSON, HTML, plain text) it comes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{ClientError, Result};
use crate::http_client::HttpClientError;
use crate::transfer::HttpBody;

/// Maximum size of a JSON response: a thousand images with many properties.
const MAX_JSON_BYTES: usize = 64 * 1024 * 1024;
/// Maximum size of the body of a refusal.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;
/// Maximum length of a refusal's message, in characters; the rest is not shown.
const MAX_MESSAGE_CHARS: usize = 2000;

/// A response whose head has arrived. Its connection is reused if the body is read to its end and
/// closed otherwise.
pub(super) struct ApiResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: HttpBody,
    /// `HOST:PORT` of the server, for errors.
    address: String,
    progress_timeout: Duration,
}

impl ApiResponse {
    pub(super) fn new(
        response: Response<HttpBody>,
        address: String,
        progress_timeout: Duration,
    ) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
            address,
            progress_timeout,
        }
    }

    /// Returns the next bytes of the body, or `None` at its end.
    ///
    /// # Errors
    /// [`ClientError::Timeout`] if nothing arrives within the progress timeout,
    /// [`ClientError::Disconnected`] if the connection ends early.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(self.progress_timeout, self.body.frame()).await;
            let frame = frame.map_err(|_| HttpClientError::Silent(self.progress_timeout));
            let error = match frame {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    // Trailers; Glance sends none.
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => HttpClientError::Body(error),
                Ok(None) => return Ok(None),
                Err(error) => error,
            };
            return Err(ClientError::of_http(error, &self.address));
        }
    }

    /// Returns this response if its status is a success.
    ///
    /// # Errors
    /// The [`ClientError`] of the status, with the server's message.
    pub(super) async fn success(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let status = self.status;
        Err(ClientError::from_status(status, self.refusal().await))
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] if it is not the expected JSON or too long.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes(MAX_JSON_BYTES).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ClientError::Protocol(format!("invalid JSON ({error})")))
    }

    /// Reads the body to its end and ignores it, so that the connection can be reused.
    pub(super) async fn discard(self) -> Result<()> {
        self.bytes(MAX_JSON_BYTES).await.map(drop)
    }

    async fn bytes(mut self, max_bytes: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > max_bytes {
                return Err(ClientError::Protocol(format!(
                    "it is longer than {max_bytes} bytes"
                )));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// Reads the message of a refusal. If the body has none, the standard text of the status is
    /// used.
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
            let standard = status
                .canonical_reason()
                .unwrap_or("The server refused the request");
            return format!("{standard}.");
        }
        words.chars().take(MAX_MESSAGE_CHARS).collect()
    }
}

/// Finds `{"message": …}`, as Glance sends it, or the same one level down, as Keystone does.
fn json_message(json: &Value) -> Option<String> {
    let object = json.as_object()?;
    let direct = object.get("message").and_then(Value::as_str);
    let nested = || {
        let mut inner = object.values().filter_map(|value| value.get("message"));
        inner.find_map(Value::as_str)
    };
    // Glance (WebOb) puts a standard sentence and an HTML break before its own message.
    let own = |text: &str| {
        let last = text.rsplit("<br /><br />").next().unwrap_or_default();
        last.trim().to_owned()
    };
    direct.or_else(nested).map(own)
}

/// Returns the last paragraph; the status and a standard sentence precede it.
fn plain_message(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(str::trim);
    let last = paragraphs.filter(|paragraph| !paragraph.is_empty()).last();
    last.unwrap_or_default().to_owned()
}

/// Removes the tags of an HTML page, which proxies send.
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
    fn message_of_a_refusal_is_found_in_every_form() {
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
