//! One worker: a thread, a runtime, a listening socket, and the connections it serves.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::Socket;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::balance::{Balance, Counted, Handover};
use crate::net::{self, ConnectionSettings, Handler};
use crate::service::InFlight;
use crate::transfer::Blocking;
use crate::transfer::disk::IoBackend;

/// Wait after an accept that failed because the process has no descriptors left.
pub(super) const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where other workers hand connections over to this one.
pub(super) type Inbox = mpsc::UnboundedReceiver<Handover>;

/// What a worker needs.
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) io_backend: IoBackend,
    pub(super) settings: ConnectionSettings,
    pub(super) blocking: Blocking,
    pub(super) balance: Balance,
    /// Connections that all workers together may still take.
    pub(super) room: Arc<Semaphore>,
    /// Uploads and copies; some may go on when no connection is left.
    pub(super) in_flight: InFlight,
    pub(super) drain: watch::Receiver<bool>,
}

impl Worker {
    /// Serves until the drain begins and the last connection has ended. `handler` is made
    /// on the worker's thread.
    pub(super) fn run<H: Handler>(
        self,
        listener: Socket,
        inbox: Inbox,
        handler: impl FnOnce() -> H,
    ) -> io::Result<()> {
        match self.io_backend {
            IoBackend::Uring => {
                let runtime = tokio_uring::Runtime::new(&tokio_uring::builder())?;
                runtime.block_on(self.serve(listener, inbox, handler))
            }
            IoBackend::Threads => {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().build()?;
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, self.serve(listener, inbox, handler))
            }
        }
    }

    async fn serve<H: Handler>(
        self,
        listener: Socket,
        mut inbox: Inbox,
        handler: impl FnOnce() -> H,
    ) -> io::Result<()> {
        let mut drain = self.drain.clone();
        let listener = TcpListener::from_std(listener.into())?;
        let handler = Rc::new(handler());
        loop {
            tokio::select! {
                biased;
                _ = drain.wait_for(|drain| *drain) => break,
                Some(connection) = inbox.recv() => self.take_over(connection, &handler),
                accepted = accept(&listener, &self.room) => self.accepted(accepted, &handler).await,
            }
        }
        self.empty_queue(&listener, &handler);
        drop(listener);
        self.balance.all_ended().await;
        self.in_flight.all_ended().await;
        Ok(())
    }

    async fn accepted<H: Handler>(
        &self,
        accepted: io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)>,
        handler: &Rc<H>,
    ) {
        match accepted {
            Ok((stream, peer, room)) => self.place(stream, peer, Some(room), handler),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }

    fn place<H: Handler>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        room: Option<OwnedSemaphorePermit>,
        handler: &Rc<H>,
    ) {
        let counted = self.balance.place(self.number, room);
        if counted.is_of(self.number) {
            return self.start(stream, peer, counted, handler);
        }
        match stream.into_std() {
            Ok(stream) => self.balance.hand_over(Handover {
                stream,
                peer,
                counted,
            }),
            Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
        }
    }

    fn take_over<H: Handler>(&self, connection: Handover, handler: &Rc<H>) {
        let Handover {
            stream,
            peer,
            counted,
        } = connection;
        match TcpStream::from_std(stream) {
            Ok(stream) => self.start(stream, peer, counted, handler),
            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
        }
    }

    fn start<H: Handler>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        counted: Counted,
        handler: &Rc<H>,
    ) {
        let (settings, blocking) = (self.settings, self.blocking.clone());
        let (handler, drain) = (Rc::clone(handler), self.drain.clone());
        tokio::task::spawn_local(async move {
            let _counted = counted;
            let served = net::serve(stream, peer, &settings, handler, blocking, drain).await;
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "connection broken");
            }
        });
    }

    /// Takes what the kernel has accepted on our behalf already: closing the listener would
    /// reset those connections.
    fn empty_queue<H: Handler>(&self, listener: &TcpListener, handler: &Rc<H>) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Ok((stream, peer))) = listener.poll_accept(&mut context) {
            let counted = self.balance.keep(self.number);
            self.start(stream, peer, counted, handler);
        }
    }
}

/// Accepts when there is room for one more connection.
pub(super) async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await;
    let permit = permit.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}
