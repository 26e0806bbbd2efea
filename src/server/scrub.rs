//! Running `glance-scrubber`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::drain::{Signals, Told};
use super::node_client::{AskError, NodeClient};
use super::offline::Offline;
use super::pid_file::PidFile;
use super::program;
use super::start_error::StartError;
use crate::api::ScrubReport;
use crate::config::{Config, EXIT_FAILURE, EXIT_OK, RegistryBackend, ScrubberArgs};
use crate::error::Error;
use crate::image::ImageId;
use crate::log;
use crate::registry::OpenError;

/// Why the scrubber did not do what it should.
#[derive(Debug, thiserror::Error)]
enum ScrubError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{0}")]
    Service(Error),
    #[error("there is no registry in {0}: is this the node's configuration?")]
    NoRegistry(String),
    #[error("images whose data could not be removed: {0}; the log says why, and it is tried again")]
    Left(usize),
    #[error("the options daemon and --restore do not go together; use one of them")]
    DaemonRestores,
}

impl ScrubError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Start(error) => error.exit_code(),
            _ => EXIT_FAILURE,
        }
    }
}

/// The whole of `glance-scrubber`.
pub fn scrubber_main() -> ExitCode {
    let args = match ScrubberArgs::of_process() {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    let (config, _log) = match program::begin(&args.server) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    match run(&args, &config) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => program::fail(&error.to_string(), error.exit_code()),
    }
}

fn run(args: &ScrubberArgs, config: &Config) -> Result<(), ScrubError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
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

/// Who does the work.
enum Worker {
    /// This process, on a registry that no node has open.
    Here(Offline),
    /// The node that has it open.
    Node(NodeClient),
}

fn worker(config: &Config) -> Result<Worker, ScrubError> {
    // One that is shared may be in use, and a node knows what is under way.
    if config.registry.backend() != RegistryBackend::Embedded {
        return Ok(Worker::Node(NodeClient::new(config)?));
    }
    let folder = &config.registry.registry_dir;
    // Opening one that is not there would make it.
    if !folder.is_dir() {
        return Err(ScrubError::NoRegistry(folder.display().to_string()));
    }
    match Offline::open(config) {
        Ok(offline) => Ok(Worker::Here(offline)),
        Err(StartError::Registry(OpenError::InUse { .. })) => {
            Ok(Worker::Node(NodeClient::new(config)?))
        }
        Err(error) => Err(error.into()),
    }
}

fn restore(runtime: &Runtime, config: &Config, id: &ImageId) -> Result<(), ScrubError> {
    match worker(config)? {
        Worker::Here(offline) => runtime
            .block_on(offline.restore(id))
            .map_err(ScrubError::Service)?,
        Worker::Node(node) => runtime.block_on(node.restore(id))?,
    }
    println!("Image {id} is active again");
    Ok(())
}

fn scrub_once(runtime: &Runtime, config: &Config) -> Result<(), ScrubError> {
    let report = match worker(config)? {
        Worker::Here(offline) => LocalSet::new()
            .block_on(runtime, offline.round())
            .map_err(ScrubError::Service)?,
        Worker::Node(node) => runtime.block_on(node.scrub())?,
    };
    tell(report);
    match report.failed {
        0 => Ok(()),
        failed => Err(ScrubError::Left(failed)),
    }
}

fn tell(report: ScrubReport) {
    let ScrubReport {
        removed,
        failed,
        waiting,
    } = report;
    println!("images scrubbed: {removed}, failed: {failed}, waiting: {waiting}");
}

/// The name of the signal. It keeps no files of rules that SIGHUP could have it read again;
/// but who removes its pid file and sends one wants it to end, as of every server.
async fn told_to_end(signals: &mut Signals, pid_file: &PidFile) -> &'static str {
    loop {
        match signals.told().await {
            Told::End(signal) => return signal,
            Told::HangUp if pid_file.names_us() == Some(false) => return "SIGHUP",
            Told::HangUp | Told::Reload => {}
        }
    }
}

/// Asks the node again and again, whether it runs or not.
fn run_daemon(
    runtime: &Runtime,
    config: &Config,
    every: Duration,
    pid_file: Option<&Path>,
) -> Result<(), ScrubError> {
    let node = NodeClient::new(config)?;
    let pid_file = PidFile::new(pid_file).map_err(StartError::PidFile)?;
    runtime.block_on(async {
        let mut signals = Signals::catch().map_err(StartError::Threads)?;
        pid_file.write().map_err(StartError::PidFile)?;
        tracing::info!(target: log::STARTUP, every_s = every.as_secs(), "glance-scrubber begins");
        let rounds = async {
            loop {
                match node.scrub().await {
                    Ok(report) => tell(report),
                    Err(error) => tracing::warn!("{error}; trying again in {} s", every.as_secs()),
                }
                tokio::time::sleep(every).await;
            }
        };
        tokio::select! {
            signal = told_to_end(&mut signals, &pid_file) => {
                tracing::info!(target: log::STARTUP, "{signal}: ended");
            }
            () = rounds => {}
        }
        Ok(())
    })
}
