//! Starting the workers, and the thread that accepts for them.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::acceptor::{Acceptor, Inbox};
use super::app::App;
use super::balance::Balance;
use super::listener::Listener;
use super::settings;
use super::start_error::StartError;
use super::worker::Worker;
use crate::api::{Api, ApiServer, ApiState};
use crate::log;
use crate::net::ServerState;

/// Starts a thread a worker, and when all of them serve, the one that accepts. Each worker has
/// a door of its own, which is opened on its thread.
pub(super) fn start<A: Api>(
    app: &App,
    program: &str,
    listener: Listener,
    most_connections: usize,
    phase: &watch::Receiver<ServerState>,
    new_api: fn(ApiState) -> A,
) -> Result<(Balance, Vec<JoinHandle<()>>), StartError> {
    let balance = Balance::new(app.workers);
    let (acceptor, inboxes) = Acceptor::new(balance.clone(), app.workers, most_connections);
    let (ready, all_ready) = sync_channel(app.workers);
    let mut threads = Vec::new();
    for (number, inbox) in inboxes.into_iter().enumerate() {
        let worker = Worker {
            number,
            io_backend: app.io_backend,
            settings: settings::connection(&app.config),
            blocking: app.blocking(),
            balance: balance.clone(),
            active_uploads: app.service.active_uploads().clone(),
            phase: phase.clone(),
        };
        let api = (new_api, app.api_state());
        threads.push(start_one(app, worker, inbox, ready.clone(), api)?);
    }
    drop(ready);
    for _ in 0..app.workers {
        // One that fails drops its sender, and has said why.
        all_ready.recv().map_err(|_| StartError::Worker)?;
    }
    let address = listener.address;
    threads.push(start_acceptor(acceptor, listener, phase.clone())?);
    tracing::info!(
        target: log::STARTUP,
        workers = app.workers,
        "{program} {} listens on http://{address}",
        env!("CARGO_PKG_VERSION"),
    );
    Ok((balance, threads))
}

fn start_acceptor(
    acceptor: Acceptor,
    listener: Listener,
    phase: watch::Receiver<ServerState>,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let listener = {
        let _guard = runtime.enter();
        TcpListener::from_std(listener.socket.into()).map_err(StartError::Threads)?
    };
    let run = move || runtime.block_on(acceptor.run(listener, phase));
    let thread = std::thread::Builder::new().name("acceptor".to_owned());
    thread.spawn(run).map_err(StartError::Threads)
}

fn start_one<A: Api>(
    app: &App,
    worker: Worker,
    inbox: Inbox,
    ready: SyncSender<()>,
    (new_api, state): (fn(ApiState) -> A, ApiState),
) -> Result<JoinHandle<()>, StartError> {
    let server_settings = settings::api_server(&app.config, app.config.log.access_log);
    let number = worker.number;
    let new_server = move || {
        // Asked for when everything else of the worker is there. Nobody listens any more
        // when another worker has failed.
        let _ = ready.send(());
        ApiServer::new(new_api(state), server_settings)
    };
    let run = move || {
        if let Err(error) = worker.run(inbox, new_server) {
            tracing::error!(worker = number, %error, "a worker ended");
        }
    };
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    thread.spawn(run).map_err(StartError::Threads)
}
