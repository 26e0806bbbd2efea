//! Hands a server over to a successor process without a failed request.
//!
//! 1. The server starts a successor: the program file as it is now, with the same command line.
//!    The successor inherits the listening sockets, reads the configuration and builds every
//!    component except the registry. If that fails, the server continues unchanged.
//! 2. The server stops accepting. New connections wait in the kernel's queue of the listening
//!    socket, which the successor shares.
//! 3. The server closes the registry. Requests that need it wait; transfers continue.
//! 4. The successor opens the registry, leaves the uploads of its predecessor alone, and serves.
//! 5. The predecessor relays its registry requests to the successor, answers one last request on
//!    each connection, and ends when its last transfer has ended.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use socket2::Socket;
use tokio::sync::watch;
use uuid::Uuid;

use crate::net::ServerState;
use crate::registry::{MessageError, RelayDone, read_message, serve_relay, write_message};
use crate::server::compose::app::App;
use crate::server::compose::registry::open_registry;
use crate::server::inherited::{HANDOVER, PredecessorMessage, SuccessorMessage};
use crate::server::start_error::StartError;

/// Time limit for a successor to build everything except the registry.
const PREPARE_LIMIT: Duration = Duration::from_secs(60);

/// Time limit for a successor to open the registry. A large one takes seconds.
const OPEN_LIMIT: Duration = Duration::from_secs(120);

/// Time that a failed successor has to log the reason and exit before it is killed.
const EXIT_LIMIT: Duration = Duration::from_secs(2);

/// A reload failed. Except for [`ReloadError::TakeBack`], this process continues to serve.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum ReloadError {
    #[error("cannot start a successor: {0}")]
    Start(#[from] io::Error),
    #[error("the successor did not start, see its log: {0}")]
    Successor(#[from] MessageError),
    #[error("unexpected message from the successor; is it another release of this program?")]
    UnexpectedMessage,
    /// The registry is closed and cannot be opened again. This process must end.
    #[error(transparent)]
    TakeBack(#[from] StartError),
}

/// The program file and arguments of this process, for starting a successor.
#[derive(Debug, Clone)]
pub(in crate::server) struct ProgramArgs {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl ProgramArgs {
    /// Reads both. Must be called at the start: once an upgrade has replaced the program file,
    /// /proc/self/exe names the deleted file.
    ///
    /// # Errors
    /// Those of /proc.
    pub(in crate::server) fn of_process() -> io::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
        })
    }
}

/// A process that is taking over from this one.
struct Successor {
    child: Child,
    socket: UnixStream,
}

/// Starts a successor, hands over to it and returns its process id. `earlier_uploads` are those
/// of this process' own predecessors that have not ended.
///
/// # Errors
/// [`ReloadError`] when the successor did not take over.
pub(in crate::server) async fn hand_over(
    app: &App,
    program_args: &ProgramArgs,
    listeners: &[Socket],
    phase: &watch::Sender<ServerState>,
    earlier_uploads: Vec<Uuid>,
) -> Result<u32, ReloadError> {
    let mut successor = Successor::start(program_args, listeners)?;
    match successor.receive(PREPARE_LIMIT).await {
        Ok(SuccessorMessage::Prepared) => {}
        Ok(SuccessorMessage::Ready) => {
            return Err(successor.abort(ReloadError::UnexpectedMessage));
        }
        Err(error) => return Err(successor.abort(error.into())),
    }
    // From here to the end, clients see a delay but no failure: connections wait in the kernel's
    // queue, and requests wait for the registry.
    phase.send_replace(ServerState::Paused);
    set_cache_retired(app, true);
    app.registry.release().await;
    // Read after the registry was closed: an upload that begins later writes its first record
    // through the successor, which then knows it.
    let mut uploads = app.active_uploads.ids();
    uploads.extend(earlier_uploads);
    if let Err(error) = successor.grant(uploads).await {
        // The successor must be dead before the registry is opened, or both would have it open.
        let error = successor.abort(error);
        let reopened = open_registry(&app.config);
        let reopened = reopened.map_err(|error| StartError::TakeBack(error.into()))?;
        app.registry.reclaim(reopened);
        set_cache_retired(app, false);
        phase.send_replace(ServerState::Serving);
        return Err(error);
    }
    let pid = successor.child.id();
    app.registry.forward_to(successor.socket)?;
    phase.send_replace(ServerState::Draining);
    Ok(pid)
}

/// Sets whether the cache of this process is retired. Two processes must not both evict and
/// account for the files of one cache directory.
fn set_cache_retired(app: &App, is_retired: bool) {
    if let Some(cache) = app.service.as_ref().and_then(|service| service.cache()) {
        cache.set_retired(is_retired);
    }
}

impl Successor {
    fn start(program_args: &ProgramArgs, listeners: &[Socket]) -> io::Result<Self> {
        let (socket, its_end) = UnixStream::pair()?;
        let mut inherited = vec![Socket::from(OwnedFd::from(its_end))];
        for listener in listeners {
            inherited.push(listener.try_clone()?);
        }
        let mut announcement = std::process::id().to_string();
        for socket in &inherited {
            // Only these duplicates are inheritable, and they are closed when this function
            // returns. Another thread that starts a process meanwhile would leak them to it; the
            // server starts no other processes.
            socket.set_cloexec(false)?;
            announcement.push_str(&format!(" {}", socket.as_raw_fd()));
        }
        let child = Command::new(&program_args.program)
            .args(&program_args.arguments)
            .env(HANDOVER, announcement)
            // systemd's socket activation addresses the first process only.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self { child, socket })
    }

    /// Receives a message. The blocking read runs on another thread.
    async fn receive<T: DeserializeOwned + Send + 'static>(
        &self,
        limit: Duration,
    ) -> Result<T, MessageError> {
        let mut socket = self.socket.try_clone()?;
        socket.set_read_timeout(Some(limit))?;
        let received = tokio::task::spawn_blocking(move || read_message(&mut socket));
        received.await.map_err(io::Error::other)?
    }

    /// Grants the registry to the successor and waits until it serves.
    async fn grant(&mut self, uploads: Vec<Uuid>) -> Result<(), ReloadError> {
        write_message(&mut self.socket, &PredecessorMessage::Granted { uploads })?;
        match self.receive(OPEN_LIMIT).await? {
            SuccessorMessage::Ready => {}
            SuccessorMessage::Prepared => return Err(ReloadError::UnexpectedMessage),
        }
        // The relay of registry requests uses the socket from now on, and its requests have no
        // fixed time limit.
        Ok(self.socket.set_read_timeout(None)?)
    }

    /// Ends the successor, so that it can neither serve nor open the registry. Returns `error`.
    fn abort(&mut self, error: ReloadError) -> ReloadError {
        // If it was killed at once, it could not log why it failed.
        let deadline = Instant::now() + EXIT_LIMIT;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Fails if it has exited by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        error
    }
}

/// Starts to answer the registry requests of the predecessor. The result resolves when the
/// predecessor has ended.
///
/// # Errors
/// When the system refuses the thread.
pub(in crate::server) fn answer_predecessor(
    app: &App,
    socket: UnixStream,
) -> io::Result<RelayDone> {
    serve_relay(socket, Arc::clone(&app.registry) as _)
}
