//! Running a server: `glance-api` or `glance-registry`.

use std::process::ExitCode;

use tokio::sync::watch;

use super::build::{build, build_registry};
use super::drain::{Drained, Signals};
use super::inherited::Inheritance;
use super::life::{Before, Life};
use super::limits::ConnectionRoom;
use super::listener::Listener;
use super::pid_file::PidFile;
use super::reload::{Origin, answer_predecessor};
use super::start_error::StartError;
use super::supervisor::Supervisor;
use super::{admin, limits, program, workers};
use crate::api::{RegistryApi, V1Api};
use crate::config::{Config, EXIT_OK, ListenConfig, ServerArgs};
use crate::net::{ListenOptions, ServerState};

/// What a server serves.
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

/// The whole of `glance-api`.
pub fn api_main() -> ExitCode {
    main(Program::Api)
}

/// The whole of `glance-registry`.
pub fn registry_main() -> ExitCode {
    main(Program::Registry)
}

fn main(program: Program) -> ExitCode {
    let args = match ServerArgs::of_process(program.name()) {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    // Before anything is opened that could be taken for it.
    let inheritance = Inheritance::of_process();
    let (config, _log) = match program::begin(&args) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let inheritance = inheritance.map_err(StartError::Inheritance);
    match inheritance.and_then(|inheritance| start(program, &args, config, inheritance)) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => program::fail(&format!("cannot start: {error}"), error.exit_code()),
    }
}

fn start(
    program: Program,
    args: &ServerArgs,
    config: Config,
    mut inheritance: Inheritance,
) -> Result<(), StartError> {
    limits::raise_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    // Before anybody can see that we listen and send one.
    let signals = {
        let _guard = runtime.enter();
        Signals::catch().map_err(StartError::Threads)?
    };
    let origin = Origin::of_process().map_err(StartError::Threads)?;
    let pid_file = PidFile::new(args.pid_file.as_deref()).map_err(StartError::PidFile)?;
    // Before the parts are built, so that an address in use is known at once.
    let Listeners { api, admin } = claim(&config.listen, &mut inheritance)?;
    let copies = [Some(&api), admin.as_ref()].into_iter().flatten();
    let copies = copies.map(|listener| listener.socket.try_clone());
    let copies: Result<_, _> = copies.collect();
    let predecessor = inheritance.predecessor.as_mut();
    let app = match program {
        Program::Api => build(config, predecessor)?,
        Program::Registry => build_registry(config, predecessor)?,
    };
    let (phase, now) = watch::channel(ServerState::Serving);
    let wanted = ConnectionRoom {
        api: app.config.listen.max_connections,
        admin: app.config.listen.admin_max_connections,
    };
    let room = limits::connection_room(wanted, app.workers);
    let name = program.name();
    let (balance, threads) = match program {
        Program::Api => workers::start(&app, name, api, room.api, &now, V1Api::new)?,
        Program::Registry => workers::start(&app, name, api, room.api, &now, RegistryApi::new)?,
    };
    if let Some(listener) = admin {
        admin::start(&app, listener, room.admin, &now)?;
    }
    let supervisor = Supervisor::of_process();
    pid_file.write().map_err(StartError::PidFile)?;
    let before = match inheritance.predecessor {
        Some(mut predecessor) => {
            let uploads = std::mem::take(&mut predecessor.uploads);
            let end = match predecessor.ready() {
                Ok(socket) => answer_predecessor(&app, socket).map_err(StartError::Threads)?,
                Err(error) => {
                    tracing::warn!("the process before has ended: {error}");
                    tokio::sync::oneshot::channel().1
                }
            };
            Some(Before { uploads, end })
        }
        None => {
            supervisor.ready();
            None
        }
    };
    let mut life = Life {
        app,
        balance,
        workers: threads,
        signals,
        phase,
        listeners: copies.map_err(StartError::Threads)?,
        origin,
        supervisor,
        pid_file,
        before,
    };
    let drained = runtime.block_on(life.live());
    // Outside the runtime: closing waits for threads. A registry that is lost is no drain, but
    // the workers still use the rest of the node.
    life.close(*drained.as_ref().unwrap_or(&Drained::Cut));
    // A call that blocks for ever must not keep the process.
    runtime.shutdown_background();
    drained.map(drop)
}

struct Listeners {
    api: Listener,
    admin: Option<Listener>,
}

fn claim(config: &ListenConfig, inheritance: &mut Inheritance) -> Result<Listeners, StartError> {
    let options = ListenOptions {
        backlog: i32::try_from(config.backlog).unwrap_or(i32::MAX),
        keepalive_idle: config.tcp_keepidle,
    };
    let api = Listener::claim(config.api_address(), options, inheritance)?;
    let admin = config.admin_address();
    let admin = admin.map(|address| Listener::claim(address, options, inheritance));
    Ok(Listeners {
        api,
        admin: admin.transpose()?,
    })
}
