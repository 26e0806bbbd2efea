//! Responses to requests that failed, as JSON, HTML or plain text, whichever the client accepts.

use http::header::{ACCEPT, HeaderMap, RETRY_AFTER};
use http::{HeaderName, StatusCode};

use super::response::{ApiResponse, HTML, JSON, TEXT};
use crate::error::{Error, Kind};

/// Returns the HTTP status of a kind of error.
fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid | Kind::Disconnected => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict | Kind::Stale => StatusCode::CONFLICT,
        Kind::StoreReadOnly => StatusCode::GONE,
        Kind::DeletedMeanwhile | Kind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Timeout => StatusCode::REQUEST_TIMEOUT,
        Kind::Unavailable { .. } | Kind::WholeOnly => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns the response to a request that failed.
pub(super) fn error_response(error: &Error, error_format: ErrorFormat) -> ApiResponse {
    let status = status_of(error.kind());
    let mut response = status_response(status, error.message(), error_format);
    if let Kind::Unavailable { retry_after } = error.kind() {
        response = response.with(RETRY_AFTER, &retry_after.as_secs().max(1).to_string());
    }
    // The rest of the body will not arrive, so the connection cannot carry another request.
    response.close = matches!(error.kind(), Kind::Timeout | Kind::Disconnected);
    response
}

/// Returns a response whose body explains a status.
pub(super) fn status_response(
    status: StatusCode,
    detail: &str,
    error_format: ErrorFormat,
) -> ApiResponse {
    let (content_type, body) = match error_format {
        ErrorFormat::Json => (JSON, json(status, detail)),
        ErrorFormat::Html => (HTML, html(status, detail)),
        ErrorFormat::Text => (TEXT, text(status, detail)),
    };
    ApiResponse::of(status, content_type, body)
}

/// Returns a 405 with the allowed methods.
pub(super) fn method_not_allowed(allowed: &str, error_format: ErrorFormat) -> ApiResponse {
    let detail = "The method is not allowed for this resource.";
    let response = status_response(StatusCode::METHOD_NOT_ALLOWED, detail, error_format);
    response.with(HeaderName::from_static("allow"), allowed)
}

/// The format of an error's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorFormat {
    /// `application/json`.
    Json,
    /// `text/html`.
    Html,
    /// `text/plain`.
    Text,
}

impl ErrorFormat {
    /// Returns the format that a request accepts. JSON precedes HTML and HTML precedes text,
    /// whatever the weights in the header: clients of Glance rely on that.
    pub fn accepted(request: &HeaderMap) -> Self {
        let mut error_format = ErrorFormat::Text;
        for value in request.get_all(ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let media_type = range.split(';').next().unwrap_or_default().trim();
                if media_type.eq_ignore_ascii_case("application/json") {
                    return ErrorFormat::Json;
                }
                if media_type == "*/*" || media_type.eq_ignore_ascii_case("text/html") {
                    error_format = ErrorFormat::Html;
                }
            }
        }
        error_format
    }
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

/// Returns the sentence that Glance sends with a status.
fn explanation(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300 => "The resource has several versions; choose one.",
        302 => "The resource was found elsewhere.",
        400 => {
            "The server could not comply with the request since it is either malformed or otherwise incorrect."
        }
        401 => "The request does not say, in a way that can be verified, who makes it.",
        403 => "Access was denied to this resource.",
        404 => "The resource could not be found.",
        405 => "The method is not allowed for this resource.",
        408 => "The server has waited too long for the request to be sent by the client.",
        409 => "There was a conflict when trying to complete your request.",
        410 => "This resource is no longer available.",
        412 => "Request precondition failed.",
        413 => "The body of your request was too large for this server.",
        414 => "The target of the request is too long for this server.",
        416 => "The Range requested is not available.",
        431 => "The head of the request is too large for this server.",
        500 => "The server has either erred or is incapable of performing the requested operation.",
        501 => "The server does not support this method.",
        503 => "The server is currently unavailable. Please try again at a later time.",
        505 => "The server does not support this version of HTTP.",
        _ => "",
    }
}

fn json(status: StatusCode, detail: &str) -> String {
    serde_json::json!({
        "message": format!("{}<br /><br />\n{}\n\n\n", explanation(status), detail),
        "code": format!("{} {}", status.as_u16(), reason(status)),
        "title": reason(status),
    })
    .to_string()
}

fn html(status: StatusCode, detail: &str) -> String {
    let title = format!("{} {}", status.as_u16(), reason(status));
    format!(
        "<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n  \
         {}<br /><br />\n{}\n\n\n </body>\n</html>",
        explanation(status),
        escape(detail)
    )
}

fn text(status: StatusCode, detail: &str) -> String {
    let (code, reason) = (status.as_u16(), reason(status));
    format!("{code} {reason}\n\n{}\n\n {detail}\n", explanation(status))
}

/// Escapes text for HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;

    fn page(accept: Option<&'static str>) -> (String, String) {
        let mut request = HeaderMap::new();
        if let Some(accept) = accept {
            request.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let response = status_response(
            StatusCode::NOT_FOUND,
            "no <b>",
            ErrorFormat::accepted(&request),
        );
        let content_type = response.headers[CONTENT_TYPE].to_str().unwrap().to_owned();
        let crate::transfer::Payload::Bytes(body) = response.payload else {
            panic!("a page has a body");
        };
        (content_type, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn html_special_characters_are_escaped() {
        assert_eq!(escape("<b a=\"'&"), "&lt;b a=&quot;&#x27;&amp;");
    }

    #[test]
    fn format_follows_the_accept_header() {
        let (content_type, body) = page(Some("text/html, application/json;q=0.5"));
        assert_eq!(content_type, "application/json");
        assert!(body.contains("\"code\":\"404 Not Found\""));
        let (content_type, body) = page(Some("*/*"));
        assert!(content_type.starts_with("text/html"));
        assert!(body.contains("no &lt;b&gt;"), "{body}");
        for accept in [None, Some("image/png")] {
            let (content_type, body) = page(accept);
            assert!(content_type.starts_with("text/plain"));
            assert!(body.starts_with("404 Not Found\n\n"));
        }
    }
}
