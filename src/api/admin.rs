//! The operator's door: the status page, metrics, health and the scrubber, on a listener that tenants cannot
//! reach.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use http::{HeaderValue, Method, StatusCode};

use super::answer::Answer;
use super::errors::{method_not_allowed, status_page};
use super::exchange::Exchange;
use super::frame::Door;
use super::health::{NodeHealth, health_answer};
use super::operator::{Command, Operator};
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
pub struct AdminDoor {
    service: Weak<Service>,
    health: Arc<NodeHealth>,
    disable_by_file: Option<PathBuf>,
    operator: Option<Operator>,
}

impl AdminDoor {
    /// The door to a node; without an operator nobody can command it.
    pub fn new(
        service: Weak<Service>,
        health: Arc<NodeHealth>,
        disable_by_file: Option<PathBuf>,
        operator: Option<Operator>,
    ) -> Self {
        Self {
            service,
            health,
            disable_by_file,
            operator,
        }
    }

    async fn metrics(&self) -> Answer {
        if let Some(service) = self.service.upgrade()
            && let Ok(census) = service.check().await
        {
            for (status, count) in census.by_status() {
                metrics::images(status.as_str(), count);
            }
            metrics::image_bytes(census.usage.kept_bytes, census.usage.leaving_bytes);
        }
        self.cache_metrics();
        Answer::of(StatusCode::OK, EXPOSITION, metrics::render())
    }

    fn cache_metrics(&self) {
        let service = self.service.upgrade();
        let Some(cache) = service.as_ref().and_then(|service| service.cache()) else {
            return;
        };
        let (counted, images) = cache.counted();
        metrics::cache_holds(
            counted.kept_bytes,
            counted.filling_bytes,
            counted.leaving_bytes,
            cache.options().max_bytes,
        );
        metrics::cache_images(images, cache.queue().images().len());
    }

    async fn command(
        &self,
        operator: &Operator,
        command: Command<'_>,
        exchange: &Exchange,
    ) -> Result<Answer> {
        match self.service.upgrade() {
            Some(service) => operator.obey(command, exchange, &service).await,
            None => Ok(health_answer(Some(ENDING))),
        }
    }

    async fn healthcheck(&self) -> Answer {
        let problem = match self.service.upgrade() {
            Some(service) => {
                let disable_by_file = self.disable_by_file.as_deref();
                self.health.problem(&service, disable_by_file).await
            }
            None => Some(ENDING),
        };
        health_answer(problem)
    }
}

impl Door for AdminDoor {
    async fn answer(self: Rc<Self>, exchange: Exchange) -> (&'static str, Result<Answer>) {
        let is_read = matches!(*exchange.method(), Method::GET | Method::HEAD);
        let path = exchange.head.uri.path();
        if let (Some(command), Some(operator)) = (Command::at(path), &self.operator) {
            return ("admin", self.command(operator, command, &exchange).await);
        }
        let answer = match path {
            "/status" | "/metrics" | "/healthcheck" if !is_read => {
                method_not_allowed("GET, HEAD", exchange.form)
            }
            "/status" => status::page(self.service.upgrade().as_deref()),
            "/metrics" => self.metrics().await,
            "/healthcheck" => self.healthcheck().await,
            _ => status_page(StatusCode::NOT_FOUND, "", exchange.form),
        };
        ("admin", Ok(answer))
    }
}
