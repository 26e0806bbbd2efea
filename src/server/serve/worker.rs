//! A worker: a thread with a single-threaded runtime that serves the connections it is offered.
//!
//! A connection stays on its worker, so handlers and requests need no synchronization.

use std::rc::Rc;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::acceptor::{NewConnection, OfferReceiver};
use super::worker_loads::WorkerLoads;
use crate::net::{self, ConnectionSettings, Handler, ServerState};
use crate::service::ActiveUploads;
use crate::transfer::BlockingPool;

/// The state of a worker, apart from the handler that it creates on its thread.
pub(in crate::server) struct Worker {
    pub(in crate::server) number: usize,
    pub(in crate::server) settings: ConnectionSettings,
    pub(in crate::server) blocking: BlockingPool,
    pub(in crate::server) loads: WorkerLoads,
    /// Uploads and copies, which may outlive the connections that began them.
    pub(in crate::server) active_uploads: ActiveUploads,
    pub(in crate::server) phase: watch::Receiver<ServerState>,
}

impl Worker {
    /// Serves connections with `handler` until the acceptor has closed the channel and every
    /// connection and upload of the server has ended.
    pub(in crate::server) async fn serve<H: Handler>(self, mut offers: OfferReceiver, handler: H) {
        let handler = Rc::new(handler);
        while let Some(offer) = offers.recv().await {
            match offer.take() {
                Some(connection) => self.start(connection, &handler),
                None => self.loads.clear_missed(self.number),
            }
        }
        // Uploads run as tasks of a worker. Its runtime must not be dropped before they end, and
        // no record says which worker an upload runs on, so every worker waits for all of them.
        self.loads.all_ended().await;
        self.active_uploads.all_ended().await;
    }

    fn start<H: Handler>(&self, connection: NewConnection, handler: &Rc<H>) {
        let NewConnection { stream, peer, slot } = connection;
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%peer, %error, "connection dropped: its worker cannot register it");
                return;
            }
        };
        let (settings, blocking) = (self.settings, self.blocking.clone());
        let (handler, phase) = (Rc::clone(handler), self.phase.clone());
        tokio::task::spawn_local(async move {
            let _slot = slot;
            let served = net::serve(stream, peer, &settings, handler, blocking, phase).await;
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "connection broken");
            }
        });
    }
}
