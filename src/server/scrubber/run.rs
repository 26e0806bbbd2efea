//! The program `glance-scrubber`: one pass, a daemon that makes passes, or the restoration of an
//! image.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::node_client::{NodeClient, NodeClientError};
use super::standalone::StandaloneNode;
use crate::api::ScrubReport;
use crate::config::{Config, EXIT_FAILURE, EXIT_OK, RegistryBackend, ScrubberArgs};
use crate::console::{OutputError, print_line};
use crate::error::Error;
use crate::image::ImageId;
use crate::log;
use crate::registry::OpenError;
use crate::runtime;
use crate::server::bootstrap;
use crate::server::lifecycle::signals::{SignalEvent, Signals};
use crate::server::pid_file::OwnPidFile;
use crate::server::start_error::StartError;

/// The scrubber failed.
#[derive(Debug, thiserror::Error)]
enum ScrubError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Node(#[from] NodeClientError),
    #[error("{0}")]
    Service(Error),
    #[error("no registry found in {0}; is this the configuration of the server?")]
    NoRegistry(String),
    #[error("the data of {0} images could not be removed, see the log; the next pass tries again")]
    Left(usize),
    #[error("the option daemon conflicts with --restore; use one of them")]
    DaemonRestores,
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl ScrubError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Start(error) => error.exit_code(),
            _ => EXIT_FAILURE,
        }
    }
}

/// Runs `glance-scrubber`.
pub fn scrubber_main() -> ExitCode {
    let args = match ScrubberArgs::parse_process_args() {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    let (config, _log) = match bootstrap::begin(&args.server) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    match run(&args, &config) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => bootstrap::fail(&error.to_string(), error.exit_code()),
    }
}

fn run(args: &ScrubberArgs, config: &Config) -> Result<(), ScrubError> {
    let runtime = runtime::current_thread().map_err(StartError::Thread)?;
    let daemon = args.daemon || config.scrubber.daemon;
    match &args.restore {
        Some(_) if daemon => Err(ScrubError::DaemonRestores),
        Some(id) => restore(&runtime, config, id),
        None if daemon => {
            let every = args.wakeup_time().unwrap_or(config.scrubber.wakeup_time);
            run_daemon(&runtime, config, every, args.server.pid_file.as_deref())
        }
        None => scrub_once(&runtime, config),
    }
}

/// The process that does the work.
enum Executor {
    /// This one, on a registry that no server has open.
    Standalone(StandaloneNode),
    /// The server that has the registry open.
    Server(NodeClient),
}

fn executor(config: &Config) -> Result<Executor, ScrubError> {
    // Servers may use a shared registry at any time, and only they know which uploads are in
    // progress.
    if config.registry.backend() != RegistryBackend::Embedded {
        return Ok(Executor::Server(NodeClient::new(config)?));
    }
    let folder = &config.registry.registry_dir;
    // Opening a registry that does not exist would create it.
    if !folder.is_dir() {
        return Err(ScrubError::NoRegistry(folder.display().to_string()));
    }
    match StandaloneNode::open(config) {
        Ok(node) => Ok(Executor::Standalone(node)),
        Err(StartError::Registry(OpenError::InUse { .. })) => {
            Ok(Executor::Server(NodeClient::new(config)?))
        }
        Err(error) => Err(error.into()),
    }
}

fn restore(runtime: &Runtime, config: &Config, id: &ImageId) -> Result<(), ScrubError> {
    match executor(config)? {
        Executor::Standalone(node) => runtime
            .block_on(node.restore(id))
            .map_err(ScrubError::Service)?,
        Executor::Server(node) => runtime.block_on(node.restore(id))?,
    }
    Ok(print_line(format_args!("Image {id} is active again"))?)
}

fn scrub_once(runtime: &Runtime, config: &Config) -> Result<(), ScrubError> {
    let report = match executor(config)? {
        Executor::Standalone(node) => LocalSet::new()
            .block_on(runtime, node.scrub())
            .map_err(ScrubError::Service)?,
        Executor::Server(node) => runtime.block_on(node.scrub())?,
    };
    print(report)?;
    match report.failed {
        0 => Ok(()),
        failed => Err(ScrubError::Left(failed)),
    }
}

fn print(report: ScrubReport) -> Result<(), OutputError> {
    let ScrubReport {
        removed,
        failed,
        waiting,
    } = report;
    print_line(format_args!(
        "images scrubbed: {removed}, failed: {failed}, waiting: {waiting}"
    ))
}

/// Waits for a signal that ends the daemon and returns its name. `glance-control` ends a daemon
/// by removing its pid file and sending SIGHUP; SIGHUP with a pid file is ignored, because the
/// daemon has no policy files to read again.
async fn termination(signals: &mut Signals, pid_file: &OwnPidFile) -> &'static str {
    loop {
        match signals.next().await {
            SignalEvent::Terminate(signal) => return signal,
            SignalEvent::HangUp if pid_file.names_us() == Some(false) => return "SIGHUP",
            SignalEvent::HangUp | SignalEvent::Reload => {}
        }
    }
}

/// Requests a pass from the server at an interval, until a signal ends the daemon. A server that
/// is not running is tried again after the next interval.
fn run_daemon(
    runtime: &Runtime,
    config: &Config,
    every: Duration,
    pid_file: Option<&Path>,
) -> Result<(), ScrubError> {
    let node = NodeClient::new(config)?;
    let pid_file = OwnPidFile::new(pid_file).map_err(StartError::PidFile)?;
    runtime.block_on(async {
        let mut signals = Signals::install().map_err(StartError::Signals)?;
        // After the signals: glance-control may send one as soon as the file exists.
        pid_file.write().map_err(StartError::PidFile)?;
        tracing::info!(target: log::STARTUP, every_s = every.as_secs(), "glance-scrubber begins");
        let passes = async {
            loop {
                match node.scrub().await {
                    // A daemon whose standard output is closed continues to work.
                    Ok(report) => drop(print(report)),
                    Err(error) => tracing::warn!("{error}; trying again in {} s", every.as_secs()),
                }
                tokio::time::sleep(every).await;
            }
        };
        tokio::select! {
            signal = termination(&mut signals, &pid_file) => {
                tracing::info!(target: log::STARTUP, "{signal}: ended");
            }
            () = passes => {}
        }
        Ok(())
    })
}
