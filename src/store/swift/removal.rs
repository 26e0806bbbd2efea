//! Removing an object with all its segments.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::account_client::{Session, SwiftRequest};
use super::listing::{remove, remove_all};
use super::names::object_path;
use super::swift_error::{SwiftError, SwiftResult};

/// What Swift says to `multipart-manifest=delete`; the status of the answer says little, as
/// it is sent before the work is done.
#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "Response Status")]
    status: String,
    #[serde(rename = "Errors", default)]
    errors: Vec<(String, String)>,
}

/// Removes an object: its segments first, so that what is left after a failure still leads
/// to them. One that is not there is as good as removed.
pub(super) async fn remove_whole(
    session: &Session,
    container: &str,
    object: &str,
) -> SwiftResult<()> {
    let what = "looking at an object to be removed";
    let head = SwiftRequest::new(what, Method::HEAD, object_path(container, object));
    let answer = session.call(&head).await?;
    match answer.status() {
        StatusCode::NOT_FOUND => return Ok(()),
        status if status.is_success() => {}
        status => return Err(SwiftError::status(what, status, answer.headers())),
    }
    if is_static(answer.headers()) {
        return remove_static(session, container, object).await;
    }
    if let Some((segments, prefix)) = dynamic_manifest(answer.headers()) {
        remove_all(session, &segments, &prefix).await?;
    }
    remove(session, container, object).await
}

fn is_static(headers: &HeaderMap) -> bool {
    let header = headers.get("x-static-large-object");
    header.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Container and prefix of the segments. A manifest without a prefix would take in all of
/// the container, and nobody writes such for an image.
fn dynamic_manifest(headers: &HeaderMap) -> Option<(String, String)> {
    let manifest = headers.get("x-object-manifest")?.to_str().ok()?;
    let manifest = percent_decode_str(manifest).decode_utf8().ok()?;
    let (container, prefix) = manifest.trim_start_matches('/').split_once('/')?;
    let is_sound = !container.is_empty() && !prefix.is_empty();
    is_sound.then(|| (container.to_owned(), prefix.to_owned()))
}

async fn remove_static(session: &Session, container: &str, object: &str) -> SwiftResult<()> {
    let what = "removing an object with its segments";
    let path = format!(
        "{}?multipart-manifest=delete",
        object_path(container, object)
    );
    let mut call = SwiftRequest::new(what, Method::DELETE, path);
    call.headers
        .insert(ACCEPT, HeaderValue::from_static("application/json"));
    let answer = session.call(&call).await?;
    match answer.status() {
        StatusCode::NOT_FOUND => return Ok(()),
        status if status.is_success() => {}
        status => return Err(SwiftError::status(what, status, answer.headers())),
    }
    let outcome: Outcome = serde_json::from_slice(answer.body())
        .map_err(|error| SwiftError::answer(what, error.to_string()))?;
    let is_gone = |status: &str| status.starts_with("404");
    let left = outcome.errors.iter().find(|(_, status)| !is_gone(status));
    let is_done = outcome.status.starts_with("200") || is_gone(&outcome.status);
    match left {
        Some((_, status)) => Err(SwiftError::answer(what, format!("a segment: {status}"))),
        None if is_done || !outcome.errors.is_empty() => Ok(()),
        None => Err(SwiftError::answer(what, outcome.status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(value: &'static str) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert("x-object-manifest", HeaderValue::from_static(value));
        dynamic_manifest(&headers)
    }

    #[test]
    fn a_manifest_names_container_and_prefix() {
        let found = |container: &str, prefix: &str| Some((container.to_owned(), prefix.to_owned()));
        assert_eq!(manifest("glance/71c6-"), found("glance", "71c6-"));
        assert_eq!(
            manifest("my%20images/a%2Fb/c-"),
            found("my images", "a/b/c-")
        );
        assert_eq!(manifest("/glance/71c6-"), found("glance", "71c6-"));
    }

    #[test]
    fn a_manifest_of_a_whole_container_is_none() {
        for value in ["glance", "glance/", "/", ""] {
            assert_eq!(manifest(value), None, "{value}");
        }
    }
}
