//! What `glance-control` does.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::args::{Args, Command, Target};
use super::pid_file::{Found, PidFile};
use super::process::{Complaints, Origin, Signal, has_children, raise_descriptors, runs, send};
use super::servers::{Server, Started};
use crate::config::{ConfigError, EXIT_FAILURE, EXIT_OK};

/// How long is waited for a server to do as it was told.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What `status` says of a server that does not run (LSB).
const EXIT_NOT_RUNNING: u8 = 3;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    System(#[from] io::Error),
    #[error("Waited {} seconds for pid {pid} ({pid_file}) to {what}; giving up. Its log says what it waits for", PATIENCE.as_secs())]
    TooLong {
        pid: u32,
        pid_file: String,
        what: &'static str,
    },
    #[error("{program} did not start: {said}")]
    Ended { program: &'static str, said: String },
    #[error(
        "{program} is not reloaded and goes on as it is, because its configuration is wrong now:\n{said}"
    )]
    WrongConfig { program: &'static str, said: String },
    #[error(
        "{program} goes on as it is, because its successor has ended; its log says why\n{said}"
    )]
    NoSuccessor { program: &'static str, said: String },
}

type Result<T> = std::result::Result<T, ControlError>;

/// Does it for one server or all. The exit code.
pub(super) fn run(args: &Args) -> u8 {
    if args.command == Command::Status {
        return status(args);
    }
    let mut code = EXIT_OK;
    for server in args.target.servers() {
        if let Err(error) = (Control {
            args,
            server: *server,
        })
        .carry_out()
        {
            eprintln!("ERROR: {error}");
            code = EXIT_FAILURE;
        }
    }
    code
}

/// One server and what is to be done with it.
struct Control<'a> {
    args: &'a Args,
    server: Server,
}

impl Control<'_> {
    fn pid_file(&self) -> PidFile {
        PidFile::of(self.server, self.args.pid_file.as_deref())
    }

    fn name(&self) -> &'static str {
        self.server.name()
    }

    fn carry_out(&self) -> Result<()> {
        match self.args.command {
            Command::Start => self.start(),
            Command::Stop => self.end(Signal::Terminate),
            Command::Shutdown => self.end(Signal::HangUp),
            Command::Restart => {
                self.end(Signal::Terminate)?;
                self.start()
            }
            Command::Reload | Command::ForceReload => self.reload(),
            Command::Status => Ok(()),
        }
    }

    fn start(&self) -> Result<()> {
        let pid_file = self.pid_file();
        let at = pid_file.path.display();
        match pid_file.look() {
            Found::Running(_) => {
                println!("{} appears to already be running: {at}", self.name());
                return Ok(());
            }
            Found::Stale => {
                println!("Removing stale pid file {at}");
                pid_file.remove()?;
            }
            Found::Nothing => {}
        }
        let named = self.args.config.as_deref();
        if self.args.target == Target::All
            && let Some(reason) = self.server.is_needless(named)?
        {
            println!("{} is not needed: {reason}", self.name());
            return Ok(());
        }
        let config = self.server.config(named)?;
        pid_file.make_folder()?;
        if let Err(error) = raise_descriptors() {
            eprintln!("The limit of descriptors cannot be raised: {error}");
        }
        println!("Starting {} with {}", self.name(), config.display());
        let started = self.server.start(&config, &pid_file.path)?;
        self.await_start(started, &pid_file)
    }

    /// Until it says that it serves, or has ended.
    fn await_start(&self, mut started: Started, pid_file: &PidFile) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if pid_file.look() == Found::Running(started.child.id()) {
                return Ok(());
            }
            if let Some(status) = started.child.try_wait()? {
                return Err(ControlError::Ended {
                    program: self.name(),
                    said: format!("{status}\n{}", started.complaints().trim_end()),
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        println!("{} is still starting; its log says why", self.name());
        Ok(())
    }

    /// Ends it by a signal. With the pid file gone, SIGHUP does that too.
    fn end(&self, signal: Signal) -> Result<()> {
        let pid_file = self.pid_file();
        let Found::Running(pid) = pid_file.look() else {
            pid_file.remove()?;
            println!("No {} running", self.name());
            return Ok(());
        };
        pid_file.remove()?;
        self.tell("Stopping", pid, signal)?;
        self.await_that("die", pid, &pid_file.path, || !runs(pid, self.name()))
    }

    fn reload(&self) -> Result<()> {
        let pid_file = self.pid_file();
        let Found::Running(pid) = pid_file.look() else {
            println!("No {} running", self.name());
            return self.start();
        };
        if !self.server.hands_over() {
            self.end(Signal::HangUp)?;
            return self.start();
        }
        // A server says in its log alone why it has no successor. What can be known before is
        // said here, and no signal is sent. Where /proc does not tell, the signal decides.
        let judged = Origin::of(pid).and_then(|origin| Server::judge_reload(&origin));
        if let Ok(Some(said)) = judged {
            let program = self.name();
            return Err(ControlError::WrongConfig { program, said });
        }
        let complaints = Complaints::from_now_on(pid);
        self.tell("Reloading", pid, Signal::HangUp)?;
        self.await_successor(pid, &pid_file, complaints)
    }

    /// Until another process serves, or the one that was started for it has ended.
    fn await_successor(&self, pid: u32, pid_file: &PidFile, mut said: Complaints) -> Result<()> {
        let has_begun = Cell::new(false);
        let has_ended = Cell::new(false);
        let is_replaced = || matches!(pid_file.look(), Found::Running(now) if now != pid);
        self.await_that("be replaced", pid, &pid_file.path, || {
            let is_there = has_children(pid);
            // A successor that serves has written its own process id before.
            let done = is_replaced();
            has_ended.set(!done && has_begun.get() && !is_there);
            has_begun.set(has_begun.get() || is_there);
            done || has_ended.get()
        })?;
        match has_ended.get() {
            true => Err(ControlError::NoSuccessor {
                program: self.name(),
                said: said.read().trim_end().to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn tell(&self, what: &str, pid: u32, signal: Signal) -> Result<()> {
        println!(
            "{what} {}  pid: {pid}  signal: {}",
            self.name(),
            signal.number()
        );
        match send(pid, signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                println!("Process {pid} not running");
                Ok(())
            }
            sent => Ok(sent?),
        }
    }

    fn await_that(
        &self,
        what: &'static str,
        pid: u32,
        pid_file: &Path,
        is_so: impl Fn() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            if Instant::now() >= deadline {
                let pid_file = pid_file.display().to_string();
                return Err(ControlError::TooLong {
                    pid,
                    pid_file,
                    what,
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

/// Tells of each server whether it runs. Of all, those count that were started.
fn status(args: &Args) -> u8 {
    let found = args.target.servers().iter().map(|server| {
        let pid_file = PidFile::of(*server, args.pid_file.as_deref());
        let found = pid_file.look();
        println!("{}", Shown(*server, &pid_file, found));
        match found {
            Found::Running(_) => EXIT_OK,
            Found::Stale => EXIT_FAILURE,
            Found::Nothing => EXIT_NOT_RUNNING,
        }
    });
    let found: Vec<u8> = found.collect();
    let started = found.iter().filter(|code| **code != EXIT_NOT_RUNNING);
    started.max().copied().unwrap_or(EXIT_NOT_RUNNING)
}

struct Shown<'a>(Server, &'a PidFile, Found);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(server, pid_file, found) = self;
        let (name, at) = (server.name(), pid_file.path.display());
        match found {
            Found::Running(pid) => write!(f, "{name} is running  pid: {pid}"),
            Found::Stale => write!(f, "No {name} running, but there is a pid file: {at}"),
            Found::Nothing => write!(f, "No {name} running"),
        }
    }
}
