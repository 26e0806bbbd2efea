//! The admin listener: metrics, health and the commands of operators.
//!
//! It has a thread and a runtime of its own, so that load on the API does not delay it. The
//! thread runs until the process ends, also while the server drains.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use socket2::Socket;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::acceptor::accept;
use super::listener::Listener;
use crate::api::{AdminApi, AdminCommands, ApiServer};
use crate::log;
use crate::net::{self, ConnectionSettings, ServerState};
use crate::runtime::{self, RuntimeKind};
use crate::server::compose::app::App;
use crate::server::compose::settings;
use crate::server::operator_token;
use crate::server::start_error::StartError;
use crate::transfer::BlockingPool;

/// Starts the thread of the admin listener.
///
/// # Errors
/// When the thread cannot be started or the operator token cannot be written.
pub(in crate::server) fn start(
    app: &App,
    listener: Listener,
    max_connections: usize,
    phase: &watch::Receiver<ServerState>,
) -> Result<(), StartError> {
    // A weak reference: the thread never ends, and must not keep the registry open.
    let catalog = Arc::downgrade(&app.catalog);
    let service = app.service.as_ref().map(Arc::downgrade).unwrap_or_default();
    let health = Arc::clone(&app.health);
    let operator = operator(app)?;
    let disable_by_file = app.config.healthcheck.disable_by_file_path.clone();
    let blocking = app.blocking();
    let connection = settings::connection(&app.config);
    let server_settings = settings::api_server(&app.config, false);
    let Listener { address, socket } = listener;
    let phase = phase.clone();
    let permits = Arc::new(Semaphore::new(max_connections));
    let run = move |_| async move {
        let admin = AdminApi::new(catalog, service, health, disable_by_file, operator);
        let handler = Rc::new(ApiServer::new(admin, server_settings));
        let served = serve(socket, handler, connection, blocking, permits, phase).await;
        if let Err(error) = served {
            tracing::error!(%error, "the admin listener ended");
        }
    };
    // Detached: the thread is never joined and serves until the process ends.
    runtime::spawn_local("admin", RuntimeKind::Epoll, run)?.detach();
    tracing::info!(target: log::STARTUP, "metrics on http://{address}/metrics");
    Ok(())
}

/// Returns the executor of admin commands, or `None` in a registry server, which has no scrubber
/// to command.
fn operator(app: &App) -> Result<Option<AdminCommands>, StartError> {
    let Some(scrubber) = &app.scrubber else {
        return Ok(None);
    };
    let token = operator_token::issue(&app.config.registry.registry_dir);
    let token = token.map_err(StartError::OperatorToken)?;
    Ok(Some(AdminCommands::new(scrubber.clone(), token)))
}

async fn serve(
    listener: Socket,
    handler: Rc<ApiServer<AdminApi>>,
    settings: ConnectionSettings,
    blocking: BlockingPool,
    permits: Arc<Semaphore>,
    mut phase: watch::Receiver<ServerState>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener.into())?;
    // Connections watch this phase instead of the server's: operators keep their connections
    // while the server drains, and can observe the drain.
    let own_phase = watch::channel(ServerState::Serving);
    loop {
        let now = *phase.borrow_and_update();
        if now == ServerState::Draining {
            break;
        }
        let (stream, peer, permit) = tokio::select! {
            biased;
            changed = phase.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break,
            },
            accepted = accept(&listener, &permits), if now != ServerState::Paused => accepted,
        };
        let (handler, blocking) = (Rc::clone(&handler), blocking.clone());
        let phase = own_phase.1.clone();
        tokio::task::spawn_local(async move {
            let _permit = permit;
            let served = net::serve(stream, peer, &settings, handler, blocking, phase).await;
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "admin connection broken");
            }
        });
    }
    drop(listener);
    own_phase.0.send_replace(ServerState::Draining);
    // Keeps the runtime, and with it the open connections, until the process ends.
    std::future::pending().await
}
