//! Reads lists of members, and of the images shared with a member, in the legacy protocol.

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::endpoint::RegistryResponse;
use crate::error::{Error, Result};

/// Returns the rows of such a list. Each row is parsed separately, so a malformed one does not hide
/// the others. Early registry servers have no such lists and answer 404.
pub(super) fn rows<T: DeserializeOwned>(response: &RegistryResponse, list: &str) -> Result<Vec<T>> {
    match response.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(Vec::new()),
        _ => return Err(response.refusal()),
    }
    let mut body: Value = serde_json::from_slice(response.body()).map_err(Error::internal)?;
    let Some(rows) = body[list].as_array_mut().map(std::mem::take) else {
        return Err(Error::internal(format!(
            "a response of the registry server has no {list}"
        )));
    };
    let read = rows.into_iter().map(serde_json::from_value::<T>);
    let logged = read.inspect(|row| {
        if let Err(error) = row {
            tracing::warn!(list, %error, "a row of the registry server cannot be read");
        }
    });
    Ok(logged.filter_map(std::result::Result::ok).collect())
}
