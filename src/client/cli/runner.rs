//! Common part of `glance` and `glance-cache-manage`: creates the runtime and the session, runs
//! the command, prints its error and returns the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use super::args::GlobalOptions;
use super::error::{CliError, CliResult};
use super::printable;
use super::session::Session;

/// Runs `work` with a session made from the options. Prints an error to standard error and
/// returns its exit code.
pub(super) fn run(
    options: GlobalOptions,
    work: impl AsyncFnOnce(&Session) -> CliResult,
) -> ExitCode {
    if options.verbose {
        log_requests();
    }
    match carry_out(options, work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::from(failure.code())
        }
    }
}

fn carry_out(options: GlobalOptions, work: impl AsyncFnOnce(&Session) -> CliResult) -> CliResult {
    let runtime = crate::runtime::current_thread().map_err(std::io::Error::from)?;
    let outcome = runtime.block_on(async {
        let environment = |name: &str| std::env::var(name).ok();
        work(&Session::open(options, &environment).await?).await
    });
    // getaddrinfo cannot be cancelled: a name server that hangs must not delay the exit.
    runtime.shutdown_background();
    outcome
}

fn report(failure: &CliError) {
    if matches!(failure, CliError::OutputClosed | CliError::Reported(_)) {
        return;
    }
    let words = printable::printable_lines(&failure.to_string());
    // If standard error is closed, the exit code is the only report left.
    let _ = writeln!(io::stderr(), "{words}");
}

/// Implements `--verbose`: logs each request and its response to standard error, one line each.
fn log_requests() {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(tracing::Level::DEBUG)
        .without_time()
        .with_target(false)
        .finish();
    // Fails only if a subscriber is set already; nothing else in this process sets one.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
