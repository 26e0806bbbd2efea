//! The start sequence of `glance-api` and `glance-registry`.
//!
//! The order of the steps matters and is explained where they are taken. After the last step the
//! main thread runs the loop of [`RunningServer`] until the process ends.

use std::process::ExitCode;

use socket2::Socket;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::bootstrap;
use super::compose::app::App;
use super::compose::build::{build, build_registry};
use super::inherited::{Inheritance, Predecessor};
use super::lifecycle::drain::DrainOutcome;
use super::lifecycle::reload::{ProgramArgs, answer_predecessor};
use super::lifecycle::running::{DrainingPredecessor, RunningServer};
use super::lifecycle::sd_notify::SdNotify;
use super::lifecycle::signals::Signals;
use super::pid_file::OwnPidFile;
use super::serve::connection_limits::{self, ConnectionLimits};
use super::serve::listener::Listener;
use super::serve::{admin, workers};
use super::start_error::StartError;
use crate::api::{RegistryApi, RootApi};
use crate::config::{Config, EXIT_OK, ListenConfig, ServerArgs};
use crate::net::{ListenOptions, ServerState};
use crate::runtime;

/// The program that runs, which determines the API that it serves.
#[derive(Clone, Copy)]
enum Program {
    Api,
    Registry,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Program::Api => "glance-api",
            Program::Registry => "glance-registry",
        }
    }
}

/// Runs `glance-api` until it ends.
pub fn api_main() -> ExitCode {
    main(Program::Api)
}

/// Runs `glance-registry` until it ends.
pub fn registry_main() -> ExitCode {
    main(Program::Registry)
}

fn main(program: Program) -> ExitCode {
    let args = match ServerArgs::parse_process_args(program.name()) {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    // First of all: inherited descriptors are known by their numbers only, so nothing may be
    // opened before they are taken.
    let inheritance = Inheritance::of_process();
    let (config, _log) = match bootstrap::begin(&args) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let inheritance = inheritance.map_err(StartError::Inheritance);
    match inheritance.and_then(|inheritance| run(program, &args, config, inheritance)) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => bootstrap::fail(&format!("cannot start: {error}"), error.exit_code()),
    }
}

fn run(
    program: Program,
    args: &ServerArgs,
    config: Config,
    inheritance: Inheritance,
) -> Result<(), StartError> {
    connection_limits::raise_descriptors();
    let runtime = runtime::current_thread()?;
    let mut server = start(program, args, config, inheritance, &runtime)?;
    let drained = runtime.block_on(server.run());
    // Outside the runtime, since closing joins threads. When the registry was lost, nothing has
    // been drained and the workers still use the other components.
    server.close(*drained.as_ref().unwrap_or(&DrainOutcome::TimedOut));
    // A blocking call that never returns must not keep the process alive.
    runtime.shutdown_background();
    drained.map(drop)
}

fn start(
    program: Program,
    args: &ServerArgs,
    config: Config,
    mut inheritance: Inheritance,
    runtime: &Runtime,
) -> Result<RunningServer, StartError> {
    // Before the sockets are bound: from then on a supervisor may send signals, and the default
    // action of SIGUSR2 would end the process.
    let signals = {
        let _guard = runtime.enter();
        Signals::install().map_err(StartError::Signals)?
    };
    let program_args = ProgramArgs::of_process().map_err(StartError::ProgramPath)?;
    let pid_file = OwnPidFile::new(args.pid_file.as_deref()).map_err(StartError::PidFile)?;
    // Before the components are built, which may take seconds: an address in use is reported at
    // once.
    let listeners = Listeners::bind(&config.listen, &mut inheritance)?;
    let duplicates = listeners.duplicate()?;
    let mut predecessor = inheritance.predecessor;
    let app = match program {
        Program::Api => build(config, predecessor.as_mut())?,
        Program::Registry => build_registry(config, predecessor.as_mut())?,
    };
    let (phase, phase_receiver) = watch::channel(ServerState::Serving);
    let (loads, workers) = listeners.serve(program, &app, &phase_receiver)?;
    let sd_notify = SdNotify::of_process();
    // Only now: glance-control takes the pid file for the sign that the server accepts requests.
    pid_file.write().map_err(StartError::PidFile)?;
    let predecessor = match predecessor {
        Some(predecessor) => Some(take_over(&app, predecessor)?),
        None => {
            // After a reload the predecessor reports this instead, because systemd accepts
            // messages from the main process only.
            sd_notify.ready();
            None
        }
    };
    Ok(RunningServer {
        app,
        loads,
        workers,
        signals,
        phase,
        listeners: duplicates,
        program_args,
        sd_notify,
        pid_file,
        predecessor,
    })
}

/// Tells the predecessor that this process serves, and answers its registry requests from then
/// on.
fn take_over(app: &App, mut predecessor: Predecessor) -> Result<DrainingPredecessor, StartError> {
    let uploads = std::mem::take(&mut predecessor.uploads);
    let end = match predecessor.ready() {
        Ok(socket) => answer_predecessor(app, socket).map_err(StartError::Threads)?,
        Err(error) => {
            tracing::warn!("the previous process has ended early: {error}");
            // The sender is dropped here, so `end` resolves at once and recovery starts.
            tokio::sync::oneshot::channel().1
        }
    };
    Ok(DrainingPredecessor { uploads, end })
}

/// The bound sockets of a server.
struct Listeners {
    api: Listener,
    admin: Option<Listener>,
}

impl Listeners {
    fn bind(config: &ListenConfig, inheritance: &mut Inheritance) -> Result<Self, StartError> {
        let options = ListenOptions {
            backlog: i32::try_from(config.backlog).unwrap_or(i32::MAX),
            keepalive_idle: config.tcp_keepidle,
        };
        let api = Listener::claim(config.api_address(), options, inheritance)?;
        let admin = config.admin_address();
        let admin = admin.map(|address| Listener::claim(address, options, inheritance));
        Ok(Self {
            api,
            admin: admin.transpose()?,
        })
    }

    /// Duplicates the sockets for a successor.
    fn duplicate(&self) -> Result<Vec<Socket>, StartError> {
        let listeners = [Some(&self.api), self.admin.as_ref()].into_iter().flatten();
        let duplicates = listeners.map(|listener| listener.socket.try_clone());
        duplicates
            .collect::<Result<_, _>>()
            .map_err(StartError::Socket)
    }

    /// Starts the threads that accept and serve connections.
    fn serve(
        self,
        program: Program,
        app: &App,
        phase: &watch::Receiver<ServerState>,
    ) -> Result<workers::Started, StartError> {
        let wanted = ConnectionLimits {
            api: app.config.listen.max_connections,
            admin: app.config.listen.admin_max_connections,
        };
        let limits = connection_limits::fit_limits(wanted, app.workers);
        let (name, api) = (program.name(), self.api);
        let started = match app.service.clone() {
            Some(service) => {
                let new_api = move |state| RootApi::new(state, service);
                workers::start(app, name, api, limits.api, phase, new_api)?
            }
            None => workers::start(app, name, api, limits.api, phase, RegistryApi::new)?,
        };
        if let Some(listener) = self.admin {
            admin::start(app, listener, limits.admin, phase)?;
        }
        Ok(started)
    }
}
