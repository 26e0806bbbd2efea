//! Starts the worker threads and the acceptor thread.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::acceptor::{Acceptor, OfferReceiver};
use super::listener::Listener;
use super::worker::Worker;
use super::worker_loads::WorkerLoads;
use crate::api::{Api, ApiServer, ApiState};
use crate::log;
use crate::net::ServerState;
use crate::runtime;
use crate::server::compose::app::App;
use crate::server::compose::settings;
use crate::server::start_error::StartError;

/// The loads of the workers, and the handles of their threads and of the acceptor's.
pub(in crate::server) type Started = (WorkerLoads, Vec<JoinHandle<()>>);

/// Starts the workers and, when each of them is ready, the acceptor. `new_api` is called on each
/// worker's thread, so that every worker has an API object of its own.
///
/// # Errors
/// When a thread or its runtime cannot be created.
pub(in crate::server) fn start<A: Api>(
    app: &App,
    program: &str,
    listener: Listener,
    max_connections: usize,
    phase: &watch::Receiver<ServerState>,
    new_api: impl FnOnce(ApiState) -> A + Clone + Send + 'static,
) -> Result<Started, StartError> {
    let loads = WorkerLoads::new(app.workers);
    let (acceptor, receivers) = Acceptor::new(loads.clone(), app.workers, max_connections);
    let (ready, all_ready) = sync_channel(app.workers);
    let mut threads = Vec::new();
    for (number, offers) in receivers.into_iter().enumerate() {
        let worker = Worker {
            number,
            settings: settings::connection(&app.config),
            blocking: app.blocking(),
            loads: loads.clone(),
            active_uploads: app.active_uploads.clone(),
            phase: phase.clone(),
        };
        let new_api = (new_api.clone(), app.api_state());
        threads.push(start_worker(app, worker, offers, ready.clone(), new_api)?);
    }
    drop(ready);
    for _ in 0..app.workers {
        // A worker that fails to start logs the reason and drops its sender.
        all_ready.recv().map_err(|_| StartError::Worker)?;
    }
    let address = listener.address;
    // Last: a client that connects earlier waits in the kernel's queue instead of being offered
    // to a worker that may still fail.
    threads.push(start_acceptor(acceptor, listener, phase.clone())?);
    tracing::info!(
        target: log::STARTUP,
        workers = app.workers,
        "{program} {} listens on http://{address}",
        env!("CARGO_PKG_VERSION"),
    );
    Ok((loads, threads))
}

fn start_acceptor(
    acceptor: Acceptor,
    listener: Listener,
    phase: watch::Receiver<ServerState>,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = runtime::current_thread()?;
    let listener = {
        let _guard = runtime.enter();
        TcpListener::from_std(listener.socket.into()).map_err(StartError::Socket)?
    };
    let run = move || runtime.block_on(acceptor.run(listener, phase));
    Ok(runtime::spawn("acceptor", run)?)
}

fn start_worker<A: Api>(
    app: &App,
    worker: Worker,
    offers: OfferReceiver,
    ready: SyncSender<()>,
    (new_api, state): (impl FnOnce(ApiState) -> A + Send + 'static, ApiState),
) -> Result<JoinHandle<()>, StartError> {
    let server_settings = settings::api_server(&app.config, app.config.log.access_log);
    let (number, kind) = (worker.number, app.runtime_kind());
    let run = move || {
        let ran = runtime::block_on_local(kind, async move {
            let handler = ApiServer::new(new_api(state), server_settings);
            // Sent from inside the runtime, since io_uring may refuse to create one. Fails if
            // another worker could not start and the receiver is dropped.
            let _ = ready.send(());
            worker.serve(offers, handler).await;
        });
        if let Err(error) = ran {
            tracing::error!(worker = number, "worker ended: {error}");
        }
    };
    Ok(runtime::spawn(format!("worker-{number}"), run)?)
}
