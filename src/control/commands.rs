//! The commands of `glance-control`.

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::args::{Args, Command, Target};
use super::server_process::{CommandLine, Signal, StderrTail, has_children, send};
use super::servers::{Server, StartedServer};
use crate::config::{ConfigError, EXIT_FAILURE, EXIT_OK};
use crate::console::{OutputError, print_error, print_line};
use crate::process::{PidFile, PidFileStatus, is_running, raise_descriptors_to};

/// Descriptors of a server, as in Glance's own glance-control.
const DESCRIPTORS: u64 = 32_768;

/// Time limit for a server to carry out a command.
const WAIT_LIMIT: Duration = Duration::from_secs(15);
/// Interval of checks while waiting.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Exit code of `status` for a server that does not run (Linux Standard Base).
const EXIT_NOT_RUNNING: u8 = 3;

/// A command failed.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    System(#[from] io::Error),
    #[error("{0}")]
    Output(#[from] OutputError),
    #[error("Waited {} seconds for pid {pid} ({pid_file}) to {what}; giving up. See its log", WAIT_LIMIT.as_secs())]
    TooLong {
        pid: u32,
        pid_file: String,
        what: &'static str,
    },
    #[error("{program} did not start: {said}")]
    Ended { program: &'static str, said: String },
    #[error(
        "{program} is not reloaded and continues unchanged, because its configuration is wrong now:\n{said}"
    )]
    WrongConfig { program: &'static str, said: String },
    #[error("{program} continues unchanged, because its successor has ended; see its log\n{said}")]
    NoSuccessor { program: &'static str, said: String },
}

type Result<T> = std::result::Result<T, ControlError>;

/// Executes the command for each of its servers. Returns the exit code.
pub(super) fn run(args: &Args) -> u8 {
    if args.command == Command::Status {
        return status(args).unwrap_or_else(|error| {
            print_error(format_args!("ERROR: {error}"));
            EXIT_FAILURE
        });
    }
    let mut code = EXIT_OK;
    for server in args.target.servers() {
        if let Err(error) = (Control {
            args,
            server: *server,
        })
        .execute()
        {
            print_error(format_args!("ERROR: {error}"));
            code = EXIT_FAILURE;
        }
    }
    code
}

/// A server and the command for it.
struct Control<'a> {
    args: &'a Args,
    server: Server,
}

impl Control<'_> {
    fn pid_file(&self) -> PidFile {
        pid_file(self.server, self.args)
    }

    fn name(&self) -> &'static str {
        self.server.name()
    }

    fn execute(&self) -> Result<()> {
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
        let at = pid_file.path().display();
        match pid_file.status(self.name()) {
            PidFileStatus::Running(_) => {
                print_line(format_args!(
                    "{} appears to already be running: {at}",
                    self.name()
                ))?;
                return Ok(());
            }
            PidFileStatus::Stale => {
                print_line(format_args!("Removing stale pid file {at}"))?;
                pid_file.remove()?;
            }
            PidFileStatus::Missing => {}
        }
        let named = self.args.config.as_deref();
        if self.args.target == Target::All
            && let Some(reason) = self.server.reason_not_needed(named)?
        {
            print_line(format_args!("{} is not needed: {reason}", self.name()))?;
            return Ok(());
        }
        let config = self.server.config(named)?;
        if let Some(folder) = pid_file.path().parent() {
            fs::create_dir_all(folder)?;
        }
        // The server inherits the limit.
        if let Err(error) = raise_descriptors_to(DESCRIPTORS) {
            print_error(format_args!(
                "Cannot raise the limit of descriptors: {error}"
            ));
        }
        print_line(format_args!(
            "Starting {} with {}",
            self.name(),
            config.display()
        ))?;
        let started = self.server.start(&config, pid_file.path())?;
        self.await_start(started, &pid_file)
    }

    /// Waits until the server has written its pid file or ended.
    fn await_start(&self, mut started: StartedServer, pid_file: &PidFile) -> Result<()> {
        let deadline = Instant::now() + WAIT_LIMIT;
        while Instant::now() < deadline {
            if pid_file.status(self.name()) == PidFileStatus::Running(started.child.id()) {
                return Ok(());
            }
            if let Some(status) = started.child.try_wait()? {
                return Err(ControlError::Ended {
                    program: self.name(),
                    said: format!("{status}\n{}", started.stderr().trim_end()),
                });
            }
            std::thread::sleep(POLL_EVERY);
        }
        print_line(format_args!(
            "{} is still starting; see its log",
            self.name()
        ))?;
        Ok(())
    }

    /// Stops the server by a signal. SIGHUP does so because the pid file is removed first.
    fn end(&self, signal: Signal) -> Result<()> {
        let pid_file = self.pid_file();
        let PidFileStatus::Running(pid) = pid_file.status(self.name()) else {
            pid_file.remove()?;
            print_line(format_args!("No {} running", self.name()))?;
            return Ok(());
        };
        pid_file.remove()?;
        self.signal("Stopping", pid, signal)?;
        self.await_that("die", pid, pid_file.path(), || {
            !is_running(pid, self.name())
        })
    }

    fn reload(&self) -> Result<()> {
        let pid_file = self.pid_file();
        let PidFileStatus::Running(pid) = pid_file.status(self.name()) else {
            print_line(format_args!("No {} running", self.name()))?;
            return self.start();
        };
        if !self.server.supports_reload() {
            self.end(Signal::HangUp)?;
            return self.start();
        }
        // A server reports only in its log why a reload failed. Errors of the configuration are
        // found before the signal, and printed here. If /proc does not permit this check, the
        // signal is sent without it.
        let checked = CommandLine::of(pid).and_then(|command| Server::check_config(&command));
        if let Ok(Some(said)) = checked {
            let program = self.name();
            return Err(ControlError::WrongConfig { program, said });
        }
        let stderr = StderrTail::from_now_on(pid);
        self.signal("Reloading", pid, Signal::HangUp)?;
        self.await_successor(pid, &pid_file, stderr)
    }

    /// Waits until a successor serves or has ended.
    fn await_successor(&self, pid: u32, pid_file: &PidFile, mut stderr: StderrTail) -> Result<()> {
        let has_begun = Cell::new(false);
        let has_ended = Cell::new(false);
        let is_replaced =
            || matches!(pid_file.status(self.name()), PidFileStatus::Running(now) if now != pid);
        self.await_that("be replaced", pid, pid_file.path(), || {
            let is_there = has_children(pid);
            // A successor writes the pid file before it serves, and its end is checked after the
            // pid file, so a successor that serves is not taken for one that has ended.
            let done = is_replaced();
            has_ended.set(!done && has_begun.get() && !is_there);
            has_begun.set(has_begun.get() || is_there);
            done || has_ended.get()
        })?;
        match has_ended.get() {
            true => Err(ControlError::NoSuccessor {
                program: self.name(),
                said: stderr.read().trim_end().to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn signal(&self, what: &str, pid: u32, signal: Signal) -> Result<()> {
        print_line(format_args!(
            "{what} {}  pid: {pid}  signal: {}",
            self.name(),
            signal.number()
        ))?;
        match send(pid, signal) {
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                print_line(format_args!("Process {pid} not running"))?;
                Ok(())
            }
            sent => Ok(sent?),
        }
    }

    /// Waits until the condition holds, up to the time limit.
    fn await_that(
        &self,
        what: &'static str,
        pid: u32,
        pid_file: &Path,
        condition: impl Fn() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + WAIT_LIMIT;
        while !condition() {
            if Instant::now() >= deadline {
                let pid_file = pid_file.display().to_string();
                return Err(ControlError::TooLong {
                    pid,
                    pid_file,
                    what,
                });
            }
            std::thread::sleep(POLL_EVERY);
        }
        Ok(())
    }
}

/// The named pid file, or the server's default one.
fn pid_file(server: Server, args: &Args) -> PidFile {
    let named = args.pid_file.clone();
    PidFile::new(named.unwrap_or_else(|| server.pid_file()))
}

/// Prints whether each server runs. Returns the exit code: that of the worst server, except that
/// servers that do not run count only if none does.
fn status(args: &Args) -> Result<u8> {
    let mut codes = Vec::new();
    for server in args.target.servers() {
        let pid_file = pid_file(*server, args);
        let found = pid_file.status(server.name());
        print_line(StatusLine(*server, &pid_file, found))?;
        codes.push(match found {
            PidFileStatus::Running(_) => EXIT_OK,
            PidFileStatus::Stale => EXIT_FAILURE,
            PidFileStatus::Missing => EXIT_NOT_RUNNING,
        });
    }
    let started = codes.into_iter().filter(|code| *code != EXIT_NOT_RUNNING);
    Ok(started.max().unwrap_or(EXIT_NOT_RUNNING))
}

/// The line that `status` prints for a server.
struct StatusLine<'a>(Server, &'a PidFile, PidFileStatus);

impl fmt::Display for StatusLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(server, pid_file, found) = self;
        let (name, at) = (server.name(), pid_file.path().display());
        match found {
            PidFileStatus::Running(pid) => write!(f, "{name} is running  pid: {pid}"),
            PidFileStatus::Stale => write!(f, "No {name} running, but there is a pid file: {at}"),
            PidFileStatus::Missing => write!(f, "No {name} running"),
        }
    }
}
