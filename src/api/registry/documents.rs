//! Documents of the registry, for the API servers of this project.
//!
//! A missing document is answered with 204, so that a 404 always means a server that knows no
//! documents.

use std::sync::Arc;

use http::StatusCode;
use http::header::HeaderValue;

use super::context::RegistryContext;
use super::records::{json, seen};
use crate::api::request::ApiRequest;
use crate::api::response::ApiResponse;
use crate::error::{Error, Kind, Result};
use crate::registry::{Document, DocumentKey, DocumentQuery, Version};
use crate::wire::registry::{
    DocumentList, MAX_LIST_RECORDS, RECORD, TARGET_LIST_BYTES, parse_document_query,
};

pub(super) async fn list(
    context: &RegistryContext<'_>,
    request: &ApiRequest,
) -> Result<ApiResponse> {
    let text = request.head.uri.query().unwrap_or_default();
    let query: DocumentQuery = parse_document_query(text)?;
    let page = query.limit.min(MAX_LIST_RECORDS);
    let is_cut = page < query.limit;
    let query = DocumentQuery {
        limit: page,
        ..query
    };
    let mut documents = context.service.documents(&context.caller, &query).await?;
    let mut more = is_cut && documents.len() == page;
    let fitting = fitting(&documents);
    if fitting < documents.len() {
        documents.truncate(fitting);
        more = true;
    }
    let documents = documents.iter().map(AsRef::as_ref).collect();
    json(&DocumentList::<&Document> { documents, more })
}

/// Returns how many of these documents one response holds, at least one.
fn fitting(documents: &[Arc<Document>]) -> usize {
    let mut bytes = 0;
    let fits = |document: &&Arc<Document>| {
        bytes += document.body.len() * 4 / 3;
        bytes <= TARGET_LIST_BYTES
    };
    let fitting = documents.iter().take_while(fits).count();
    fitting.max(1)
}

pub(super) async fn show(
    context: &RegistryContext<'_>,
    kind: &str,
    id: &str,
) -> Result<ApiResponse> {
    let key = DocumentKey::new(kind, id)?;
    match context.service.document(&context.caller, &key).await? {
        Some(document) => json(&*document),
        None => Ok(no_content()),
    }
}

pub(super) async fn put(
    context: &RegistryContext<'_>,
    kind: &str,
    id: &str,
    request: &mut ApiRequest,
) -> Result<ApiResponse> {
    let key = DocumentKey::new(kind, id)?;
    let seen = required_version(request)?;
    let body = context.body(request).await?;
    let document: Document = serde_json::from_slice(&body)
        .map_err(|error| Error::new(Kind::Invalid, "The body is not a document.").because(error))?;
    if document.key != key {
        let text = "The path and the document do not match.";
        return Err(Error::new(Kind::Invalid, text));
    }
    let written = context
        .service
        .put_document(&context.caller, document, seen);
    json(&*written.await?)
}

pub(super) async fn delete(
    context: &RegistryContext<'_>,
    kind: &str,
    id: &str,
    request: &ApiRequest,
) -> Result<ApiResponse> {
    let key = DocumentKey::new(kind, id)?;
    let seen = required_version(request)?;
    let service = context.service;
    service.delete_document(&context.caller, &key, seen).await?;
    Ok(no_content())
}

fn required_version(request: &ApiRequest) -> Result<Version> {
    seen(request).ok_or_else(|| Error::new(Kind::Invalid, "The version header is missing."))
}

fn no_content() -> ApiResponse {
    ApiResponse::of(
        StatusCode::NO_CONTENT,
        HeaderValue::from_static(RECORD),
        Vec::new(),
    )
}
