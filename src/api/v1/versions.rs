//! Which versions there are.

use http::StatusCode;

use crate::api::response::{ApiResponse, JSON};

/// The versions, newest first, as `/` and `/versions` show them.
pub(super) fn respond(choice: bool, base: &str) -> ApiResponse {
    let status = if choice {
        StatusCode::MULTIPLE_CHOICES
    } else {
        StatusCode::OK
    };
    let entry = |id: &str| {
        serde_json::json!({
            "id": id,
            "status": "DEPRECATED",
            "links": [{"rel": "self", "href": format!("{base}/v1/")}],
        })
    };
    let body = serde_json::json!({"versions": [entry("v1.1"), entry("v1.0")]});
    ApiResponse::of(status, JSON, body.to_string())
}
