//! Removes an object with all its segments.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::account_client::{Session, SwiftRequest};
use super::listing::{remove, remove_all};
use super::names::object_path;
use super::swift_error::{SwiftError, SwiftResult};

/// The body of the response to `multipart-manifest=delete`. The HTTP status is sent before the
/// segments are removed, so only this body shows the result.
#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "Response Status")]
    status: String,
    #[serde(rename = "Errors", default)]
    errors: Vec<(String, String)>,
}

/// Removes an object, its segments first, so that after a failure the manifest still refers to the
/// remaining ones. Succeeds if the object does not exist.
pub(super) async fn remove_whole(
    session: &Session,
    container: &str,
    object: &str,
) -> SwiftResult<()> {
    let what = "looking up an object to remove";
    let head = SwiftRequest::new(what, Method::HEAD, object_path(container, object));
    let response = session.send(&head).await?;
    match response.status() {
        StatusCode::NOT_FOUND => return Ok(()),
        status if status.is_success() => {}
        status => return Err(SwiftError::status(what, status, response.headers())),
    }
    if is_static(response.headers()) {
        return remove_static(session, container, object).await;
    }
    if let Some((segments, prefix)) = dynamic_manifest(response.headers()) {
        remove_all(session, &segments, &prefix).await?;
    }
    remove(session, container, object).await
}

fn is_static(headers: &HeaderMap) -> bool {
    let header = headers.get("x-static-large-object");
    header.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Returns container and prefix of the segments of a dynamic large object. A manifest without a
/// prefix is ignored: it would match the whole container, and no program writes it for an image.
fn dynamic_manifest(headers: &HeaderMap) -> Option<(String, String)> {
    let manifest = headers.get("x-object-manifest")?.to_str().ok()?;
    let manifest = percent_decode_str(manifest).decode_utf8().ok()?;
    let (container, prefix) = manifest.trim_start_matches('/').split_once('/')?;
    let is_valid = !container.is_empty() && !prefix.is_empty();
    is_valid.then(|| (container.to_owned(), prefix.to_owned()))
}

async fn remove_static(session: &Session, container: &str, object: &str) -> SwiftResult<()> {
    let what = "removing an object with its segments";
    let path = format!(
        "{}?multipart-manifest=delete",
        object_path(container, object)
    );
    let mut request = SwiftRequest::new(what, Method::DELETE, path);
    request
        .headers
        .insert(ACCEPT, HeaderValue::from_static("application/json"));
    let response = session.send(&request).await?;
    match response.status() {
        StatusCode::NOT_FOUND => return Ok(()),
        status if status.is_success() => {}
        status => return Err(SwiftError::status(what, status, response.headers())),
    }
    let outcome: Outcome = serde_json::from_slice(response.body())
        .map_err(|error| SwiftError::malformed(what, error.to_string()))?;
    // A segment that does not exist is as good as removed.
    let is_gone = |status: &str| status.starts_with("404");
    let left = outcome.errors.iter().find(|(_, status)| !is_gone(status));
    let is_done = outcome.status.starts_with("200") || is_gone(&outcome.status);
    match left {
        Some((_, status)) => Err(SwiftError::malformed(
            what,
            format!("a segment was not removed: {status}"),
        )),
        None if is_done || !outcome.errors.is_empty() => Ok(()),
        None => Err(SwiftError::malformed(what, outcome.status)),
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
    fn dynamic_manifests_are_parsed() {
        let found = |container: &str, prefix: &str| Some((container.to_owned(), prefix.to_owned()));
        assert_eq!(manifest("glance/71c6-"), found("glance", "71c6-"));
        assert_eq!(
            manifest("my%20images/a%2Fb/c-"),
            found("my images", "a/b/c-")
        );
        assert_eq!(manifest("/glance/71c6-"), found("glance", "71c6-"));
    }

    #[test]
    fn manifests_of_whole_containers_are_ignored() {
        for value in ["glance", "glance/", "/", ""] {
            assert_eq!(manifest(value), None, "{value}");
        }
    }
}
