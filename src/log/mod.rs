//! Logging as Glance operators know it, over `tracing`.
//!
//! Lines have the form of Python's logging, go to standard output or to a file that may be rotated at any time, and
//! never hold a request up: they are written by a thread of their own, through a queue that drops and counts when
//! it is full. One event is one line whatever is in it; fields of the event and of the spans around it follow the
//! message as ` key=value`.
//!
//! Without `debug` and `verbose` only warnings and errors are logged, but the targets [`STARTUP`] and [`ACCESS`] are
//! logged from INFO on, the latter unless `access_log` is off.
//!
//! # Layout
//! * `settings` what the operator asked for; `pylogging` the same from a file of Python's logging
//! * `layer` the bridge from `tracing`; `routes` which event goes where; `record` what it holds, `escape` made safe
//! * `template` and `clock` the form of a line; `queue` and `output` its way out

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

/// Keeps the log going. Dropped at the end of the process, it waits until what was logged is written, for a few
/// seconds at most; nothing is logged afterwards.
#[must_use = "dropped, it ends the log"]
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
/// [`LogError`] when a form is wrong, a file cannot be opened, or logging was started before.
pub fn init(settings: &LogSettings) -> Result<LogGuard, LogError> {
    let plan = match &settings.config_file {
        Some(path) => python::file_config::load(path)?,
        None => LoggingPlan::of(settings),
    };
    let (layer, guard) = open(&plan, settings.queue_size_bytes)?;
    let mut destinations = plan.handlers.iter().map(|handler| &handler.destination);
    WRITES_TO_STDERR.store(destinations.any(leads_to_stderr), Ordering::Relaxed);
    let subscriber = Registry::default().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadyStarted)?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    Ok(guard)
}

/// Judges what [`init`] would start, and opens nothing.
///
/// # Errors
/// [`LogError`] when a form or the file of Python's logging configuration is wrong.
pub fn check(settings: &LogSettings) -> Result<Vec<Warning>, LogError> {
    let plan = match &settings.config_file {
        Some(path) => python::file_config::load(path)?,
        None => LoggingPlan::of(settings),
    };
    plan.handlers
        .iter()
        .try_for_each(|handler| form(handler).map(drop))?;
    Ok(plan.warnings)
}

/// Whether what is logged is seen by whoever reads standard error: then nothing need be said there as well.
pub fn writes_to_stderr() -> bool {
    WRITES_TO_STDERR.load(Ordering::Relaxed)
}

static WRITES_TO_STDERR: AtomicBool = AtomicBool::new(false);

/// Whether a destination is standard error, or standard output that leads to the same place.
fn leads_to_stderr(destination: &Destination) -> bool {
    match destination {
        Destination::Stderr => true,
        Destination::Stdout => output::are_stdout_and_stderr_one(),
        Destination::File(_) => false,
    }
}

/// Opens every output of a plan and starts the threads that write to them.
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
