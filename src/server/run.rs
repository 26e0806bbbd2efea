//! Running `glance-api`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::Socket;
use tokio::sync::{Semaphore, watch};

use super::balance::Balance;
use super::build::{App, StartError, build};
use super::worker::{Inbox, Worker};
use super::{admin, drain, limits};
use crate::api::{Frame, FrameSettings, Patience, V1Door, V1Settings};
use crate::config::{
    Config, EXIT_FAILURE, EXIT_OK, ServerArgs, Warning, find_config_file, search_dirs,
};
use crate::log::{self, LogSettings};
use crate::metrics;
use crate::net::{ConnectionSettings, ListenOptions, bind, check_free};

/// Longest time spent on reading away what a refused client still sends.
const LINGER: Duration = Duration::from_secs(10);

/// How often histograms are brought into shape.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The whole of `glance-api`.
pub fn api_main() -> ExitCode {
    let args = match ServerArgs::of_process("glance-api") {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    if args.print_config {
        print!("{}", Config::sample());
        return ExitCode::from(EXIT_OK);
    }
    let (config, warnings) = match load(&args) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(error.exit_code());
        }
    };
    if args.check_config {
        warnings.iter().for_each(|warning| eprintln!("{warning}"));
        return ExitCode::from(EXIT_OK);
    }
    let _log = match log::init(&LogSettings::from(&args, &config)) {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("ERROR: {error}");
            return ExitCode::from(error.exit_code());
        }
    };
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    match start(config) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => {
            tracing::error!("cannot start: {error}");
            eprintln!("ERROR: cannot start: {error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn load(args: &ServerArgs) -> Result<(Config, Vec<Warning>), crate::config::ConfigError> {
    let home = std::env::home_dir();
    let folders = search_dirs(home.as_deref());
    let path = find_config_file(args.program, args.config_file(), &folders)?;
    Config::load(&path)
}

fn start(config: Config) -> Result<(), StartError> {
    limits::raise_descriptors(config.listen.max_connections);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    // Before anybody can see that we listen and send one.
    let signals = {
        let _guard = runtime.enter();
        drain::Signals::catch().map_err(StartError::Threads)?
    };
    // Before the parts are built, so that an address in use is known at once.
    let options = ListenOptions {
        backlog: i32::try_from(config.listen.backlog).unwrap_or(i32::MAX),
        keepalive_idle: config.listen.tcp_keepidle,
    };
    let api = Listeners::claim(config.listen.api_address(), options)?;
    let admin = config.listen.admin_address();
    let admin = admin
        .map(|address| Listeners::claim(address, options))
        .transpose()?;
    let app = build(config)?;
    let (drain_begins, draining) = watch::channel(false);
    if let Some(admin) = admin {
        tracing::info!(target: log::STARTUP, "metrics on http://{}/metrics", admin.address);
        let (settings, frame) = (
            connection_settings(&app.config),
            frame_settings(&app.config, false),
        );
        admin::start(&app, admin.first, settings, frame)?;
    }
    let (balance, workers) = start_workers(&app, api, draining)?;
    let end = wait_for_the_end(&app, &balance, signals, drain_begins, workers);
    if runtime.block_on(end) {
        app.close();
    }
    // Else what was cut still holds parts of the node: closing them would wait for it.
    Ok(())
}

/// An address that is ours.
struct Listeners {
    address: SocketAddr,
    options: ListenOptions,
    first: Socket,
}

impl Listeners {
    fn claim(address: SocketAddr, options: ListenOptions) -> Result<Self, StartError> {
        check_free(address)?;
        let first = bind(address, options)?;
        let bound = first.local_addr().ok().and_then(|bound| bound.as_socket());
        Ok(Self {
            address: bound.unwrap_or(address),
            options,
            first,
        })
    }
}

fn start_workers(
    app: &App,
    listeners: Listeners,
    drain: watch::Receiver<bool>,
) -> Result<(Balance, Vec<JoinHandle<()>>), StartError> {
    let (balance, inboxes) = Balance::new(app.workers);
    let room = Arc::new(Semaphore::new(app.config.listen.max_connections));
    let mut sockets = vec![listeners.first];
    for _ in 1..app.workers {
        sockets.push(bind(listeners.address, listeners.options)?);
    }
    let mut threads = Vec::new();
    for (number, (socket, inbox)) in sockets.into_iter().zip(inboxes).enumerate() {
        let worker = Worker {
            number,
            io_backend: app.io_backend,
            settings: connection_settings(&app.config),
            blocking: app.blocking(),
            balance: balance.clone(),
            room: Arc::clone(&room),
            drain: drain.clone(),
        };
        threads.push(start_worker(app, worker, socket, inbox)?);
    }
    tracing::info!(
        target: log::STARTUP,
        workers = app.workers,
        "glance-api {} listens on http://{}",
        env!("CARGO_PKG_VERSION"),
        listeners.address
    );
    Ok((balance, threads))
}

fn start_worker(
    app: &App,
    worker: Worker,
    socket: Socket,
    inbox: Inbox,
) -> Result<JoinHandle<()>, StartError> {
    let (service, health) = (Arc::clone(&app.service), Arc::clone(&app.health));
    let settings = v1_settings(&app.config);
    let frame = frame_settings(&app.config, app.config.log.access_log);
    let door = move || Frame::new(V1Door::new(service, settings, health), frame);
    let number = worker.number;
    let run = move || {
        if let Err(error) = worker.run(socket, inbox, door) {
            tracing::error!(worker = number, %error, "a worker ended");
        }
    };
    let thread = std::thread::Builder::new().name(format!("worker-{number}"));
    thread.spawn(run).map_err(StartError::Threads)
}

/// Serves until a signal, then drains. Whether everything in flight came to its end.
async fn wait_for_the_end(
    app: &App,
    balance: &Balance,
    mut signals: drain::Signals,
    drain_begins: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
) -> bool {
    let signal = tokio::select! {
        signal = signals.told_to_end() => signal,
        () = keep_metrics() => "nothing",
    };
    tracing::info!(target: log::STARTUP, "{signal}: accepting no more");
    app.health.begin_drain();
    drain_begins.send_replace(true);
    let limit = app.config.listen.drain_timeout;
    let all_ended = drain::wait(balance, app.service.in_flight(), limit).await;
    if all_ended {
        for worker in workers {
            // One that panicked has said so.
            let _ = worker.join();
        }
        tracing::info!(target: log::STARTUP, "ended; nothing was cut");
    }
    all_ended
}

async fn keep_metrics() {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        metrics::upkeep();
    }
}

fn connection_settings(config: &Config) -> ConnectionSettings {
    ConnectionSettings {
        stall: config.http.client_socket_timeout,
        linger: LINGER,
        keep_alive: config.http.http_keepalive,
        max_head_bytes: config.http.max_header_size,
    }
}

fn frame_settings(config: &Config, access_log: bool) -> FrameSettings {
    FrameSettings {
        max_header_line_bytes: config.http.max_header_line,
        access_log,
    }
}

fn v1_settings(config: &Config) -> V1Settings {
    V1Settings {
        patience: Patience {
            stall: config.http.client_socket_timeout,
            min_rate_bytes: config.http.client_min_rate,
        },
        public_endpoint: config.listen.public_endpoint.clone(),
        disable_by_file: config.healthcheck.disable_by_file_path.clone(),
    }
}
