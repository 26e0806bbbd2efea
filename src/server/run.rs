//! Running `glance-api`.

use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::balance::Balance;
use super::build::{App, build};
use super::listener::Listener;
use super::memory::Memory;
use super::start_error::StartError;
use super::{admin, drain, limits, program, rules, workers};
use crate::config::{Config, EXIT_OK, ServerArgs};
use crate::log;
use crate::metrics;
use crate::net::ListenOptions;

/// How often histograms are brought into shape, and freed memory is looked after.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The whole of `glance-api`.
pub fn api_main() -> ExitCode {
    let args = match ServerArgs::of_process("glance-api") {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    let (config, _log) = match program::begin(&args) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    match start(config) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => program::fail(&format!("cannot start: {error}"), error.exit_code()),
    }
}

fn start(config: Config) -> Result<(), StartError> {
    limits::raise_descriptors(config.listen.max_connections + config.listen.admin_max_connections);
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
    let api = Listener::claim(config.listen.api_address(), options)?;
    let admin = config.listen.admin_address();
    let admin = admin
        .map(|address| Listener::claim(address, options))
        .transpose()?;
    let app = build(config)?;
    let (drain_begins, draining) = watch::channel(false);
    let (balance, workers) = workers::start(&app, api, &draining)?;
    if let Some(listener) = admin {
        admin::start(&app, listener)?;
    }
    let end = wait_for_the_end(&app, &balance, signals, drain_begins, workers);
    if runtime.block_on(end) {
        app.close();
    }
    // Else what was cut still holds parts of the node: closing them would wait for it.
    Ok(())
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
        signal = signals.told_to_end(|| rules::reload(&app.config.rules, &app.service)) => signal,
        () = look_after() => "nothing",
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

async fn look_after() {
    let mut memory = Memory::default();
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        metrics::upkeep();
        memory.look_after();
    }
}
