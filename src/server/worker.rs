//! One worker: a thread, a runtime, and the connections it serves.

use std::io;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::acceptor::{Arrival, Inbox};
use super::balance::Balance;
use crate::net::{self, ConnectionSettings, Handler, ServerState};
use crate::service::ActiveUploads;
use crate::transfer::BlockingPool;
use crate::transfer::disk::IoBackend;

/// What a worker needs.
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) io_backend: IoBackend,
    pub(super) settings: ConnectionSettings,
    pub(super) blocking: BlockingPool,
    pub(super) balance: Balance,
    /// Uploads and copies; some may go on when no connection is left.
    pub(super) active_uploads: ActiveUploads,
    pub(super) phase: watch::Receiver<ServerState>,
}

impl Worker {
    /// Serves until no more connections come and the last one has ended. `handler` is made
    /// on the worker's thread.
    pub(super) fn run<H: Handler>(
        self,
        inbox: Inbox,
        handler: impl FnOnce() -> H,
    ) -> io::Result<()> {
        match self.io_backend {
            IoBackend::Uring => {
                let runtime = tokio_uring::Runtime::new(&tokio_uring::builder())?;
                runtime.block_on(self.serve(inbox, handler));
            }
            IoBackend::Threads => {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().build()?;
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, self.serve(inbox, handler));
            }
        }
        Ok(())
    }

    async fn serve<H: Handler>(self, mut inbox: Inbox, handler: impl FnOnce() -> H) {
        let handler = Rc::new(handler());
        while let Some(handover) = inbox.recv().await {
            match handover.take() {
                Some(arrival) => self.start(arrival, &handler),
                None => self.balance.caught_up(self.number),
            }
        }
        self.balance.all_ended().await;
        self.active_uploads.all_ended().await;
    }

    fn start<H: Handler>(&self, arrival: Arrival, handler: &Rc<H>) {
        let Arrival {
            stream,
            peer,
            counted,
        } = arrival;
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken over");
                return;
            }
        };
        let (settings, blocking) = (self.settings, self.blocking.clone());
        let (handler, phase) = (Rc::clone(handler), self.phase.clone());
        tokio::task::spawn_local(async move {
            let _counted = counted;
            let served = net::serve(stream, peer, &settings, handler, blocking, phase).await;
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "connection broken");
            }
        });
    }
}
