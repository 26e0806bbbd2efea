//! What is in a container, and removing many objects of it.

use http::{Method, StatusCode};
use serde::Deserialize;

use super::account::{Call, Session};
use super::errors::{SwiftError, SwiftResult};
use super::names::{container_path, encode, object_path};

/// Names that are asked for at a time.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
struct Entry {
    name: String,
}

/// Removes every object of a container whose name begins with `prefix`.
pub(super) async fn remove_all(
    session: &Session,
    container: &str,
    prefix: &str,
) -> SwiftResult<()> {
    let mut marker = String::new();
    loop {
        let names = page(session, container, prefix, &marker).await?;
        for name in &names {
            remove(session, container, name).await?;
        }
        match names.into_iter().next_back() {
            Some(last) => marker = last,
            None => return Ok(()),
        }
    }
}

/// Removes one object, and what it leads to stays.
pub(super) async fn remove(session: &Session, container: &str, object: &str) -> SwiftResult<()> {
    let what = "removing an object";
    let call = Call::new(what, Method::DELETE, object_path(container, object));
    let answer = session.call(&call).await?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(()),
        status if status.is_success() => Ok(()),
        status => Err(SwiftError::status(what, status, answer.headers())),
    }
}

/// Names in their order, behind `marker`; none when there is no such container.
async fn page(
    session: &Session,
    container: &str,
    prefix: &str,
    marker: &str,
) -> SwiftResult<Vec<String>> {
    let what = "listing a container";
    let path = format!(
        "{}?format=json&limit={PAGE}&prefix={}&marker={}",
        container_path(container),
        encode(prefix),
        encode(marker)
    );
    let answer = session.call(&Call::new(what, Method::GET, path)).await?;
    match answer.status() {
        StatusCode::NOT_FOUND | StatusCode::NO_CONTENT => return Ok(Vec::new()),
        StatusCode::OK => {}
        status => return Err(SwiftError::status(what, status, answer.headers())),
    }
    let entries: Vec<Entry> = serde_json::from_slice(answer.body())
        .map_err(|error| SwiftError::answer(what, error.to_string()))?;
    Ok(entries.into_iter().map(|entry| entry.name).collect())
}
