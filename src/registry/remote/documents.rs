//! Documents on a registry server of this software.
//!
//! As for records, a write whose response is lost is sent again, and a refusal of a repeated write
//! is compared with the current document.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::super::documents::{Document, DocumentKey, DocumentQuery};
use super::super::{Version, refusals};
use super::endpoint::{RegistryResponse, ServerEndpoint};
use super::outcome::{MAX_ATTEMPTS, outcome_unknown};
use crate::error::{Error, Result};
use crate::wire::registry::{DocumentList, MAX_LIST_RECORDS, document_path, write_document_query};

/// Returns a document.
pub(super) async fn get(
    endpoint: &ServerEndpoint,
    key: &DocumentKey,
) -> Result<Option<Arc<Document>>> {
    let response = endpoint.read("get", &path_of(key), None).await?;
    match response.status {
        StatusCode::OK => Ok(Some(Arc::new(response.json()?))),
        StatusCode::NO_CONTENT => Ok(None),
        _ => Err(refusal(&response)),
    }
}

/// Returns one page of documents.
pub(super) async fn list(
    endpoint: &ServerEndpoint,
    query: &DocumentQuery,
) -> Result<Vec<Arc<Document>>> {
    let mut page = query.clone();
    let mut documents: Vec<Arc<Document>> = Vec::new();
    loop {
        page.limit = (query.limit - documents.len()).min(MAX_LIST_RECORDS);
        let path = format!("/documents?{}", write_document_query(&page)?);
        let response = endpoint.read("list", &path, None).await?;
        if response.status != StatusCode::OK {
            return Err(refusal(&response));
        }
        let list: DocumentList<Document> = response.json()?;
        let is_full = list.more || list.documents.len() == page.limit;
        documents.extend(list.documents.into_iter().map(Arc::new));
        match documents.last() {
            Some(last) if is_full && documents.len() < query.limit => {
                page.after = Some(last.key.clone());
            }
            _ => return Ok(documents),
        }
    }
}

/// Writes a document if it still has the version that was seen.
pub(super) async fn put(
    endpoint: &ServerEndpoint,
    document: &Document,
    seen: Version,
) -> Result<Arc<Document>> {
    document.check_size()?;
    let body = serde_json::to_vec(document).map_err(Error::internal)?;
    let written = write(endpoint, Method::PUT, &document.key, seen, body);
    match written.await? {
        Written::Response(response) => Ok(Arc::new(response.json()?)),
        Written::Unknown(Some(current)) if is_result(&current, document, seen) => Ok(current),
        Written::Unknown(current) => Err(lost(current.as_deref(), &document.key, seen)),
    }
}

/// Deletes a document if it still has the version that was seen.
pub(super) async fn delete(
    endpoint: &ServerEndpoint,
    key: &DocumentKey,
    seen: Version,
) -> Result<()> {
    if seen == 0 {
        return Err(refusals::document_changed(key));
    }
    match write(endpoint, Method::DELETE, key, seen, Vec::new()).await? {
        // No document is the state that the deletion leaves.
        Written::Response(_) | Written::Unknown(None) => Ok(()),
        Written::Unknown(current) => Err(lost(current.as_deref(), key, seen)),
    }
}

/// The end of a write.
enum Written {
    /// The server has executed it.
    Response(RegistryResponse),
    /// A response was lost, and the document does not have the version that was seen any more.
    Unknown(Option<Arc<Document>>),
}

async fn write(
    endpoint: &ServerEndpoint,
    method: Method,
    key: &DocumentKey,
    seen: Version,
    body: Vec<u8>,
) -> Result<Written> {
    let path = path_of(key);
    // True once a response was lost: the write may have been executed, or may still be.
    let mut is_unknown = false;
    for attempt in 1.. {
        let sent = endpoint.write(method.clone(), &path, (seen, None), body.clone());
        let failure = match sent.await {
            Ok(response) => match response.status {
                StatusCode::OK | StatusCode::NO_CONTENT => return Ok(Written::Response(response)),
                StatusCode::CONFLICT if is_unknown => {
                    return get(endpoint, key).await.map(Written::Unknown);
                }
                StatusCode::CONFLICT => return Err(refusals::document_mismatch(key, seen)),
                _ => return Err(refusal(&response)),
            },
            Err(failure) => failure,
        };
        is_unknown |= !failure.is_unsent;
        if !is_unknown || attempt == MAX_ATTEMPTS {
            return Err(failure.into());
        }
        let current = get(endpoint, key).await?;
        if current.as_ref().map_or(0, |current| current.version) != seen {
            return Ok(Written::Unknown(current));
        }
        // Sending it again is safe: only one write can follow the version that was seen.
    }
    Err(outcome_unknown())
}

/// Returns true if a document is the result of a write to the version that was seen.
fn is_result(current: &Document, written: &Document, seen: Version) -> bool {
    let content = |document: &Document| Document {
        version: 0,
        ..document.clone()
    };
    current.version > seen && content(current) == content(written)
}

/// Returns the error for a write whose response was lost and that has not left its result.
fn lost(current: Option<&Document>, key: &DocumentKey, seen: Version) -> Error {
    match current {
        Some(current) if current.version == seen => refusals::document_mismatch(key, seen),
        _ => outcome_unknown(),
    }
}

/// Converts an error response. A server of an earlier release answers 404, because it does not
/// have the routes of documents.
fn refusal(response: &RegistryResponse) -> Error {
    match response.status {
        StatusCode::NOT_FOUND => {
            refusals::no_documents("the glance-registry is of an earlier release: update it")
        }
        _ => response.refusal(),
    }
}

fn path_of(key: &DocumentKey) -> String {
    document_path(key.kind(), key.id())
}
