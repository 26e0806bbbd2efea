//! Starting the workers.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use socket2::Socket;
use tokio::sync::{Semaphore, watch};

use super::balance::Balance;
use super::build::App;
use super::listeners::Listeners;
use super::settings;
use super::start_error::StartError;
use super::worker::{Inbox, Worker};
use crate::api::{Frame, V1Door};
use crate::log;

/// Starts a thread a worker, and returns when all of them serve.
pub(super) fn start(
    app: &App,
    listeners: Listeners,
    drain: &watch::Receiver<bool>,
) -> Result<(Balance, Vec<JoinHandle<()>>), StartError> {
    let (balance, inboxes) = Balance::new(app.workers);
    let room = Arc::new(Semaphore::new(app.config.listen.max_connections));
    let (ready, all_ready) = sync_channel(app.workers);
    let mut threads = Vec::new();
    for (number, (socket, inbox)) in listeners.sockets.into_iter().zip(inboxes).enumerate() {
        let worker = Worker {
            number,
            io_backend: app.io_backend,
            settings: settings::connection(&app.config),
            blocking: app.blocking(),
            balance: balance.clone(),
            room: Arc::clone(&room),
            in_flight: app.service.in_flight().clone(),
            drain: drain.clone(),
        };
        threads.push(start_one(app, worker, socket, inbox, ready.clone())?);
    }
    drop(ready);
    for _ in 0..app.workers {
        // One that fails drops its sender, and has said why.
        all_ready.recv().map_err(|_| StartError::Worker)?;
    }
    tracing::info!(
        target: log::STARTUP,
        workers = app.workers,
        "glance-api {} listens on http://{}",
        env!("CARGO_PKG_VERSION"),
        listeners.address
    );
    Ok((balance, threads))
}

fn start_one(
    app: &App,
    worker: Worker,
    socket: Socket,
    inbox: Inbox,
    ready: SyncSender<()>,
) -> Result<JoinHandle<()>, StartError> {
    let (service, health) = (Arc::clone(&app.service), Arc::clone(&app.health));
    let v1 = settings::v1(&app.config);
    let frame = settings::frame(&app.config, app.config.log.access_log);
    let number = worker.number;
    let door = move || {
        // Asked for when everything else of the worker is there. Nobody listens any more
        // when another worker has failed.
        let _ = ready.send(());
        Frame::new(V1Door::new(service, v1, health), frame)
    };
    let run = move || {
        if let Err(error) = worker.run(socket, inbox, door) {
            tracing::error!(worker = number, %error, "a worker ended");
        }
    };
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    thread.spawn(run).map_err(StartError::Threads)
}
