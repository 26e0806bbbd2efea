//! The admin API: status page, metrics, health and commands, on a listener that tenants cannot
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
use crate::service::{Catalog, Service};

/// The media type of Prometheus' text format 0.0.4.
const EXPOSITION: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Reported after the service has ended and before the process does.
const ENDING: &str = "ENDING";

/// Serves `/status`, `/metrics` and `/healthcheck` to every client, and commands to holders of the
/// token.
pub struct AdminApi {
    catalog: Weak<Catalog>,
    /// Without an image service (a registry server), never upgrades.
    service: Weak<Service>,
    health: Arc<NodeHealth>,
    disable_by_file: Option<PathBuf>,
    commands: Option<AdminCommands>,
}

impl AdminApi {
    /// Creates the API. Without `commands` it executes none.
    pub fn new(
        catalog: Weak<Catalog>,
        service: Weak<Service>,
        health: Arc<NodeHealth>,
        disable_by_file: Option<PathBuf>,
        commands: Option<AdminCommands>,
    ) -> Self {
        Self {
            catalog,
            service,
            health,
            disable_by_file,
            commands,
        }
    }

    async fn metrics(&self) -> ApiResponse {
        if let Some(catalog) = self.catalog.upgrade()
            && let Ok(census) = catalog.check().await
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
        commands: &AdminCommands,
        command: Command<'_>,
        request: &ApiRequest,
    ) -> Result<ApiResponse> {
        match self.service.upgrade() {
            Some(service) => commands.execute(command, request, &service).await,
            None => Ok(health_response(Some(ENDING))),
        }
    }

    async fn healthcheck(&self) -> ApiResponse {
        let problem = match self.catalog.upgrade() {
            Some(catalog) => {
                let disable_by_file = self.disable_by_file.as_deref();
                self.health.problem(&catalog, disable_by_file).await
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
        if let (Some(command), Some(commands)) = (Command::parse(path), &self.commands) {
            return ("admin", self.command(commands, command, &request).await);
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
