//! The operator's listener, on a thread of its own: load cannot starve it.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use socket2::Socket;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;

use super::acceptor::accept;
use super::app::App;
use super::listener::Listener;
use super::operator_token;
use super::settings;
use super::start_error::StartError;
use crate::api::{AdminApi, AdminCommands, ApiServer};
use crate::log;
use crate::net::{self, ConnectionSettings, ServerState};
use crate::transfer::BlockingPool;

/// Serves the operator's door until the process ends.
pub(super) fn start(
    app: &App,
    listener: Listener,
    most_connections: usize,
    phase: &watch::Receiver<ServerState>,
) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let (service, health) = (Arc::downgrade(&app.service), Arc::clone(&app.health));
    let operator = operator(app)?;
    let disable_by_file = app.config.healthcheck.disable_by_file_path.clone();
    let blocking = app.blocking();
    let connection = settings::connection(&app.config);
    let server_settings = settings::api_server(&app.config, false);
    let Listener { address, socket } = listener;
    let phase = phase.clone();
    let room = Arc::new(Semaphore::new(most_connections));
    let run = move || {
        let handler = Rc::new(ApiServer::new(
            AdminApi::new(service, health, disable_by_file, operator),
            server_settings,
        ));
        let serve = serve(socket, handler, connection, blocking, room, phase);
        if let Err(error) = LocalSet::new().block_on(&runtime, serve) {
            tracing::error!(%error, "the operator's listener ended");
        }
    };
    let thread = std::thread::Builder::new().name("admin".to_owned());
    thread.spawn(run).map_err(StartError::Threads)?;
    tracing::info!(target: log::STARTUP, "metrics on http://{address}/metrics");
    Ok(())
}

/// Who obeys operators, where there is something to be done for them.
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
    room: Arc<Semaphore>,
    mut phase: watch::Receiver<ServerState>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener.into())?;
    // Never told to end: while the node drains, this is where one sees that it does.
    let here = watch::channel(ServerState::Serving);
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
            accepted = accept(&listener, &room), if now != ServerState::Paused => accepted,
        };
        let (handler, blocking, phase) = (Rc::clone(&handler), blocking.clone(), here.1.clone());
        tokio::task::spawn_local(async move {
            let _room = permit;
            let served = net::serve(stream, peer, &settings, handler, blocking, phase).await;
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "the operator's connection broke");
            }
        });
    }
    drop(listener);
    here.0.send_replace(ServerState::Draining);
    // The connections go on until the process ends.
    std::future::pending().await
}
