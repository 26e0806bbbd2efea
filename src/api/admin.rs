//! The operator's door: the status page, metrics, health and the scrubber, on a listener that tenants cannot
//! reach.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use http::{HeaderValue, Method, StatusCode};

use super::admin_commands::{AdminCommands, Command};
use super::errors::{method_not_allowed, status_response};
use super::health::{NodeHealth, health_response};
use super::request::ApiRequest;
use super::response::ApiResponse;
use super::server::Api;
use super::status;
use crate::error::Result;
use crate::metrics;
use crate::service::Service;

/// What Prometheus wants to read (text format 0.0.4).
const EXPOSITION: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What there is to say when the service is gone.
const ENDING: &str = "ENDING";

/// `/status`, `/metrics` and `/healthcheck` for everybody who reaches it, commands for operators.
pub struct AdminApi {
    service: Weak<Service>,
    health: Arc<NodeHealth>,
    disable_by_file: Option<PathBuf>,
    operator: Option<AdminCommands>,
}

impl AdminApi {
    /// The door to a node; without an operator nobody can command it.
    pub fn new(
        service: Weak<Service>,
        health: Arc<NodeHealth>,
        disable_by_file: Option<PathBuf>,
        operator: Option<AdminCommands>,
    ) -> Self {
        Self {
            service,
            health,
            disable_by_file,
            operator,
        }
    }

    async fn metrics(&self) -> ApiResponse {
        if let Some(service) = self.service.upgrade()
            && let Ok(census) = service.check().await
        {
            for (status, count) in census.by_status() {
                metrics::images(status.as_str(), count);
            }
            metrics::image_bytes(census.usage.kept_bytes, census.usage.leaving_bytes);
        }
        self.cache_metrics();
        ApiResponse::of(StatusCode::OK, EXPOSITION, metrics::render())
    }

    fn cache_metrics(&self) {
        let service = self.service.upgrade();
        let Some(cache) = service.as_ref().and_then(|service| service.cache()) else {
            return;
        };
        let (space, images) = cache.space_used();
        metrics::cache_holds(
            space.cached_bytes,
            space.filling_bytes,
            space.evicted_open_bytes,
            cache.options().max_bytes,
        );
        metrics::cache_images(images, cache.queue().images().len());
    }

    async fn command(
        &self,
        operator: &AdminCommands,
        command: Command<'_>,
        request: &ApiRequest,
    ) -> Result<ApiResponse> {
        match self.service.upgrade() {
            Some(service) => operator.execute(command, request, &service).await,
            None => Ok(health_response(Some(ENDING))),
        }
    }

    async fn healthcheck(&self) -> ApiResponse {
        let problem = match self.service.upgrade() {
            Some(service) => {
                let disable_by_file = self.disable_by_file.as_deref();
                self.health.problem(&service, disable_by_file).await
            }
            None => Some(ENDING),
        };
        health_response(problem)
    }
}

impl Api for AdminApi {
    async fn handle(self: Rc<Self>, request: ApiRequest) -> (&'static str, Result<ApiResponse>) {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let path = request.head.uri.path();
        if let (Some(command), Some(operator)) = (Command::parse(path), &self.operator) {
            return ("admin", self.command(operator, command, &request).await);
        }
        let response = match path {
            "/status" | "/metrics" | "/healthcheck" if !is_read => {
                method_not_allowed("GET, HEAD", request.error_format)
            }
            "/status" => status::page(self.service.upgrade().as_deref()),
            "/metrics" => self.metrics().await,
            "/healthcheck" => self.healthcheck().await,
            _ => status_response(StatusCode::NOT_FOUND, "", request.error_format),
        };
        ("admin", Ok(response))
    }
}
