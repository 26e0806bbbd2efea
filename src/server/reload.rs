//! Handing a server over to a process that takes its place, without a request that fails.
//!
//! 1. A successor is started: this program, as it is on the disk now, with the command line
//!    of this process. It inherits the listening sockets, reads the configuration and makes
//!    everything but the registry. Should that fail, nothing has happened here.
//! 2. This process accepts no more. What comes waits in the kernel's queue of the socket,
//!    which is the successor's too.
//! 3. The registry is closed. Requests in flight that ask for it wait; transfers go on.
//! 4. The successor opens the registry, leaves uploads alone that go on here, and serves.
//! 5. This process asks the successor for what it needs of the registry, gives every
//!    connection one last answer, and ends when the last transfer has ended.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use socket2::Socket;
use tokio::sync::watch;
use uuid::Uuid;

use super::app::App;
use super::inherited::{HANDOVER, NewSays, OldSays};
use super::registry::open_registry;
use super::start_error::StartError;
use crate::net::ServerState;
use crate::registry::{MessageError, read_message, write_message};

/// How long a successor may take until it only lacks the registry.
const PREPARE_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take to open the registry. A large one takes seconds.
const OPEN_LIMIT: Duration = Duration::from_secs(120);

/// How long a successor that has failed may take to log why and to end by itself.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// Why there is no successor; this process serves on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error("no successor can be started: {0}")]
    Start(#[from] io::Error),
    #[error("the successor has not come up, and its log says why: {0}")]
    Successor(#[from] MessageError),
    #[error("the successor spoke out of turn")]
    OutOfTurn,
    /// Worse: the registry is closed. This process must end.
    #[error(transparent)]
    TakeBack(#[from] StartError),
}

/// How this process was started, as it was then.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Origin {
    /// To be called at the start: later the file may have another name or none.
    pub(super) fn of_process() -> io::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
        })
    }
}

/// A process that is to take over.
struct Successor {
    child: Child,
    socket: UnixStream,
}

/// Starts a successor and hands over to it: its process id.
///
/// # Errors
/// [`ReloadError`]: nobody has taken over.
pub(super) async fn hand_over(
    app: &App,
    origin: &Origin,
    listeners: &[Socket],
    phase: &watch::Sender<ServerState>,
    earlier_uploads: Vec<Uuid>,
) -> Result<u32, ReloadError> {
    let mut successor = Successor::start(origin, listeners)?;
    match successor.hear(PREPARE_LIMIT).await {
        Ok(NewSays::Prepared) => {}
        Ok(NewSays::Ready) => return Err(successor.give_up(ReloadError::OutOfTurn)),
        Err(error) => return Err(successor.give_up(error.into())),
    }
    phase.send_replace(ServerState::Paused);
    retire_cache(app, true);
    app.registry.release().await;
    let mut uploads = app.service.active_uploads().ids();
    uploads.extend(earlier_uploads);
    match successor.take_over(uploads).await {
        Ok(()) => {}
        Err(error) => {
            let error = successor.give_up(error);
            let again = open_registry(&app.config);
            app.registry
                .reclaim(again.map_err(|error| StartError::TakeBack(error.into()))?);
            retire_cache(app, false);
            phase.send_replace(ServerState::Serving);
            return Err(error);
        }
    }
    let pid = successor.child.id();
    app.registry.forward_to(successor.socket)?;
    phase.send_replace(ServerState::Draining);
    Ok(pid)
}

/// Two processes must not both keep house in one folder.
fn retire_cache(app: &App, is_retired: bool) {
    if let Some(cache) = app.service.cache() {
        cache.set_retired(is_retired);
    }
}

impl Successor {
    fn start(origin: &Origin, listeners: &[Socket]) -> io::Result<Self> {
        let (socket, its_end) = UnixStream::pair()?;
        let its_end = Socket::from(std::os::fd::OwnedFd::from(its_end));
        let mut inherited = vec![its_end];
        for listener in listeners {
            inherited.push(listener.try_clone()?);
        }
        let mut words = std::process::id().to_string();
        for socket in &inherited {
            // Only these copies, which are closed here as soon as the process is started.
            socket.set_cloexec(false)?;
            words.push_str(&format!(" {}", socket.as_raw_fd()));
        }
        let child = Command::new(&origin.program)
            .args(&origin.arguments)
            .env(HANDOVER, words)
            // For the first process alone.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self { child, socket })
    }

    /// Waits off the runtime's thread.
    async fn hear<T: DeserializeOwned + Send + 'static>(
        &self,
        limit: Duration,
    ) -> Result<T, MessageError> {
        let mut socket = self.socket.try_clone()?;
        socket.set_read_timeout(Some(limit))?;
        let heard = tokio::task::spawn_blocking(move || read_message(&mut socket));
        heard.await.map_err(io::Error::other)?
    }

    async fn take_over(&mut self, uploads: Vec<Uuid>) -> Result<(), ReloadError> {
        write_message(&mut self.socket, &OldSays::Granted { uploads })?;
        match self.hear(OPEN_LIMIT).await? {
            NewSays::Ready => {}
            NewSays::Prepared => return Err(ReloadError::OutOfTurn),
        }
        // From now on as long as an answer takes.
        Ok(self.socket.set_read_timeout(None)?)
    }

    /// It must not come up any more, nor have the registry open.
    fn give_up(&mut self, error: ReloadError) -> ReloadError {
        // Killed at once, it could not log why it has failed.
        let deadline = Instant::now() + LAST_WORDS_LIMIT;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Fails when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        error
    }
}

/// Serves what a predecessor asks for from now on. Completes when it has ended.
pub(super) fn answer_predecessor(
    app: &App,
    socket: UnixStream,
) -> io::Result<crate::registry::RelayDone> {
    crate::registry::serve_relay(socket, Arc::clone(&app.registry) as _)
}
