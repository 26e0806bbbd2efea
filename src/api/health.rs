//! Whether the node is fit to serve.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use super::response::{ApiResponse, TEXT};
use crate::service::Service;

/// What is known beside what the service says of itself.
#[derive(Debug, Default)]
pub struct NodeHealth {
    draining: AtomicBool,
}

impl NodeHealth {
    /// From now on the node wants no new clients.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why a balancer should send nobody here, in words for its log.
    pub async fn problem(
        &self,
        service: &Service,
        disable_by_file: Option<&Path>,
    ) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("DRAINING");
        }
        if disable_by_file.is_some_and(Path::exists) {
            return Some("DISABLED BY FILE");
        }
        match service.check().await {
            Ok(_) => None,
            Err(_) => Some("REGISTRY UNAVAILABLE"),
        }
    }
}

/// What `/healthcheck` answers.
pub(super) fn health_response(problem: Option<&'static str>) -> ApiResponse {
    match problem {
        None => ApiResponse::of(StatusCode::OK, TEXT, "OK"),
        Some(problem) => ApiResponse::of(StatusCode::SERVICE_UNAVAILABLE, TEXT, problem),
    }
}
