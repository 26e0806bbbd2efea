//! What each server's workers serve.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::balance::Balance;
use super::build::App;
use super::listener::Listener;
use super::start_error::StartError;
use super::{settings, workers};
use crate::api::{RegistryDoor, V1Door};
use crate::net::Phase;

type Started = Result<(Balance, Vec<JoinHandle<()>>), StartError>;

/// Serves the image API.
pub(super) fn serve_api(
    app: &App,
    program: &str,
    listener: Listener,
    phase: &watch::Receiver<Phase>,
) -> Started {
    workers::start(app, program, listener, phase, || {
        let (service, health) = (Arc::clone(&app.service), Arc::clone(&app.health));
        let authenticator = Arc::clone(&app.authenticator);
        let settings = settings::v1(&app.config);
        move || V1Door::new(service, authenticator, settings, health)
    })
}

/// Serves the registry API.
pub(super) fn serve_registry(
    app: &App,
    program: &str,
    listener: Listener,
    phase: &watch::Receiver<Phase>,
) -> Started {
    workers::start(app, program, listener, phase, || {
        let (service, health) = (Arc::clone(&app.service), Arc::clone(&app.health));
        let authenticator = Arc::clone(&app.authenticator);
        let settings = settings::v1(&app.config);
        move || RegistryDoor::new(service, authenticator, settings, health)
    })
}
