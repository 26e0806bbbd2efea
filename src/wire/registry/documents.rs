//! Documents as servers of this release exchange them. The types themselves belong to the
//! registry; here are the paths and the forms of queries and lists.

use percent_encoding::utf8_percent_encode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::records::{QUERY, invalid, parameter};
use crate::error::{Error, Result};

/// Part of a list of documents.
#[derive(Debug, Serialize, Deserialize)]
pub struct DocumentList<T> {
    /// The documents in the order of their keys.
    pub documents: Vec<T>,
    /// True if more documents may follow.
    pub more: bool,
}

/// Returns the path of a document.
pub fn document_path(kind: &str, id: &str) -> String {
    let encoded = |text| utf8_percent_encode(text, QUERY);
    format!("/documents/{}/{}", encoded(kind), encoded(id))
}

/// Writes a query for documents as a query string.
///
/// # Errors
/// `Internal` if it cannot be written as JSON.
pub fn write_document_query(query: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(query).map_err(Error::internal)?;
    Ok(format!("query={}", utf8_percent_encode(&json, QUERY)))
}

/// Reads what [`write_document_query`] writes.
///
/// # Errors
/// `Invalid`.
pub fn parse_document_query<T: DeserializeOwned>(text: &str) -> Result<T> {
    let json = parameter(text, "query")?;
    serde_json::from_str(&json).map_err(|error| invalid("query").because(error))
}
