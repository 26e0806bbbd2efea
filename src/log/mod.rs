//! Logging in the formats that Glance's operators know, as a subscriber of `tracing`.
//!
//! Lines have the format of Python's logging and go to standard output or to a file, which may be
//! rotated at any time. A separate thread writes them, so logging never delays a request: when its
//! queue is full, lines are dropped and counted. One event is one line, whatever a client sends;
//! fields of the event and of its spans follow the message as ` key=value`.
//!
//! Without `debug` and `verbose` only warnings and errors are logged. The targets [`STARTUP`] and
//! [`ACCESS`] are exceptions: they are logged from INFO on, the latter unless `access_log` is off.
//!
//! # Layout
//! * `settings` - the settings of the operator; `python` - line formats and configuration files of
//!   Python's logging
//! * `layer` - receives events from `tracing`; `record` - collects their fields; `escape` - makes
//!   them safe to print; `routes` - selects the loggers and handlers of an event
//! * `queue` - passes lines to the writing thread; `output` - the destination
//! * `recent` - keeps the last errors for the status page

mod error;
mod escape;
mod layer;
mod output;
mod python;
mod queue;
mod recent;
mod record;
mod routes;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use layer::LogLayer;
use output::Output;
use python::clock::Clock;
use queue::{Queue, Writer};
use routes::{Handler, LINE_OPTION, LineFormat, Routes};
use settings::{HandlerSpec, LoggingPlan};

use crate::config::Warning;

pub use error::LogError;
pub use output::Destination;
pub use recent::{RecentError, recent_errors};
pub use settings::{ACCESS, LogSettings, STARTUP};

/// Keeps the writing threads alive. Dropping it waits up to five seconds until all lines are
/// written; nothing is logged afterwards.
#[must_use = "dropping the guard ends logging"]
pub struct LogGuard {
    _writers: Vec<Writer>,
}

impl fmt::Debug for LogGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogGuard").finish_non_exhaustive()
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// Returns a [`LogError`] if a format is invalid, a file cannot be opened, or logging was started
/// before in this process.
pub fn init(settings: &LogSettings) -> Result<LogGuard, LogError> {
    let plan = match &settings.config_file {
        Some(path) => python::file_config::load(path)?,
        None => LoggingPlan::from_settings(settings),
    };
    let (layer, guard) = open(&plan, settings.queue_size_bytes)?;
    let mut destinations = plan.handlers.iter().map(|handler| &handler.destination);
    WRITES_TO_STDERR.store(destinations.any(leads_to_stderr), Ordering::Relaxed);
    let subscriber = Registry::default().with(layer);
    // Fails if logging was started before; tracing allows one subscriber for each process.
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadyStarted)?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    Ok(guard)
}

/// Checks the settings that [`init`] would use, without opening a file.
///
/// # Errors
/// Returns a [`LogError`] if a format or the file of Python's logging configuration is invalid.
pub fn check(settings: &LogSettings) -> Result<Vec<Warning>, LogError> {
    let plan = match &settings.config_file {
        Some(path) => python::file_config::load(path)?,
        None => LoggingPlan::from_settings(settings),
    };
    plan.handlers
        .iter()
        .try_for_each(|handler| form(handler).map(drop))?;
    Ok(plan.warnings)
}

/// Returns true if the log reaches standard error, so that messages need not be printed there
/// again.
pub fn writes_to_stderr() -> bool {
    WRITES_TO_STDERR.load(Ordering::Relaxed)
}

static WRITES_TO_STDERR: AtomicBool = AtomicBool::new(false);

/// Returns true for standard error, and for standard output if both lead to the same file.
fn leads_to_stderr(destination: &Destination) -> bool {
    match destination {
        Destination::Stderr => true,
        Destination::Stdout => output::are_stdout_and_stderr_one(),
        Destination::File(_) => false,
    }
}

/// Opens every output and starts the threads that write to them.
fn open(plan: &LoggingPlan, queue_size_bytes: usize) -> Result<(LogLayer, LogGuard), LogError> {
    let clock = Clock::from_system();
    let mut handlers = Vec::new();
    let mut writers = Vec::new();
    for handler in &plan.handlers {
        let form = form(handler)?;
        let output = Output::open(&handler.destination).map_err(|source| LogError::Open {
            path: handler.destination.to_string(),
            source,
        })?;
        let queue = Arc::new(Queue::new(queue_size_bytes));
        let (own_form, own_clock) = (form.clone(), clock.clone());
        let notice = move |message: &str| own_form.notice(&own_clock, message);
        writers.push(Writer::start(queue.clone(), output, notice).map_err(LogError::Thread)?);
        handlers.push(Handler {
            level: handler.level,
            form,
            queue,
        });
    }
    let routes = Routes::new(plan.loggers.clone(), handlers);
    Ok((LogLayer { routes, clock }, LogGuard { _writers: writers }))
}

fn form(handler: &HandlerSpec) -> Result<LineFormat, LogError> {
    let dates = handler.date_format.as_deref();
    LineFormat::parse(&handler.format, dates).map_err(|(option, problem)| LogError::Format {
        option,
        format: match option {
            LINE_OPTION => handler.format.clone(),
            _ => dates.unwrap_or_default().to_owned(),
        },
        problem,
    })
}
