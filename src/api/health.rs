//! The node's health, which load balancers poll at `/healthcheck`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use super::response::{ApiResponse, TEXT};
use crate::service::Catalog;

/// The part of the health that the service does not know.
#[derive(Debug, Default)]
pub struct NodeHealth {
    draining: AtomicBool,
}

impl NodeHealth {
    /// Reports the node as draining from now on.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Returns the reason why a load balancer should send no requests here, for its log.
    pub async fn problem(
        &self,
        catalog: &Catalog,
        disable_by_file: Option<&Path>,
    ) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("DRAINING");
        }
        if disable_by_file.is_some_and(Path::exists) {
            return Some("DISABLED BY FILE");
        }
        match catalog.check().await {
            Ok(_) => None,
            Err(_) => Some("REGISTRY UNAVAILABLE"),
        }
    }
}

/// Returns the response to `/healthcheck`.
pub(super) fn health_response(problem: Option<&'static str>) -> ApiResponse {
    match problem {
        None => ApiResponse::of(StatusCode::OK, TEXT, "OK"),
        Some(problem) => ApiResponse::of(StatusCode::SERVICE_UNAVAILABLE, TEXT, problem),
    }
}
