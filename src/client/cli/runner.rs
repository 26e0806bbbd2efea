//! What the programs of this room have in common: how they begin, and how they end.

use std::io::{self, Write};
use std::process::ExitCode;

use super::args::GlobalOptions;
use super::error::{CliError, CliResult};
use super::printable;
use super::session::Session;

/// Runs a program's work with a session of these options, and tells of its failure.
pub(super) fn run(
    options: GlobalOptions,
    work: impl AsyncFnOnce(&Session) -> CliResult,
) -> ExitCode {
    if options.verbose {
        tell_requests();
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let session = Session::new(options, |name| std::env::var(name).ok())?;
    let outcome = runtime.block_on(work(&session));
    // A look-up of a host name that hangs must not keep the program.
    runtime.shutdown_background();
    outcome
}

fn report(failure: &CliError) {
    if matches!(failure, CliError::OutputClosed | CliError::Reported(_)) {
        return;
    }
    let words = printable::printable_lines(&failure.to_string());
    // Without a standard error there is nobody to tell.
    let _ = writeln!(io::stderr(), "{words}");
}

/// `--verbose`: every request and its answer, a line each.
fn tell_requests() {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(tracing::Level::DEBUG)
        .without_time()
        .with_target(false)
        .finish();
    // It can be set once only, and nobody else does.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
