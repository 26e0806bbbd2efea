//! Selects the events that are logged and their handlers, by the tree of loggers of Python's
//! logging.

use std::sync::Arc;

use tracing::metadata::LevelFilter;
use tracing::{Level, Metadata};

use super::python::clock::{Clock, DateFormat};
use super::python::template::Template;
use super::queue::Queue;
use super::record::Record;

/// A logger: the rule for a target and all targets below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logger {
    /// Module path such as `glance::store`; empty for the root logger.
    pub target: String,
    /// Level; `None` inherits the level of the logger above.
    pub level: Option<LevelFilter>,
    /// True if the handlers of the loggers above receive the event as well.
    pub propagate: bool,
    /// Indexes of the handlers.
    pub handlers: Vec<usize>,
}

impl Logger {
    fn covers(&self, target: &str) -> bool {
        match target.strip_prefix(self.target.as_str()) {
            Some(rest) => self.target.is_empty() || rest.is_empty() || rest.starts_with("::"),
            None => false,
        }
    }
}

/// A handler: the format of its lines and the queue of its output.
pub(super) struct Handler {
    pub level: LevelFilter,
    pub form: LineFormat,
    pub queue: Arc<Queue>,
}

/// The format of a line and of the time in it.
#[derive(Clone)]
pub(super) struct LineFormat {
    pub template: Template,
    pub dates: DateFormat,
}

/// Option that sets the format of a line.
pub(super) const LINE_OPTION: &str = "log_format";
/// Option that sets the format of a time.
const DATE_OPTION: &str = "log_date_format";

impl LineFormat {
    /// Parses both formats. Without `dates`, the default format of Python's logging is used.
    ///
    /// # Errors
    /// Returns the name of the option and a description of the mistake.
    pub fn parse(format: &str, dates: Option<&str>) -> Result<Self, (&'static str, String)> {
        let template = Template::parse(format).map_err(|problem| (LINE_OPTION, problem))?;
        let dates = match dates {
            Some(dates) => DateFormat::strftime(dates).map_err(|problem| (DATE_OPTION, problem))?,
            None => DateFormat::Python,
        };
        Ok(Self { template, dates })
    }

    /// Renders the line of a record.
    pub fn line(&self, record: &Record<'_>) -> String {
        let mut line = String::with_capacity(record.message.len() + 96);
        self.template.render(record, &self.dates, &mut line);
        line
    }

    /// Renders a message about the log itself.
    pub fn notice(&self, clock: &Clock, message: &str) -> String {
        self.line(&Record {
            time: clock.now(),
            level: Level::WARN,
            target: "glance::log",
            file: file!(),
            line: line!(),
            function: "-",
            message,
        })
    }
}

/// All loggers and handlers.
pub(super) struct Routes {
    /// Sorted by descending length of the target, so that a target finds its own logger first.
    loggers: Vec<Logger>,
    handlers: Vec<Handler>,
}

impl Routes {
    pub fn new(mut loggers: Vec<Logger>, handlers: Vec<Handler>) -> Self {
        loggers.sort_by_key(|logger| std::cmp::Reverse(logger.target.len()));
        Self { loggers, handlers }
    }

    /// Returns true if an event or span is enabled. Spans of this program are enabled up to INFO,
    /// because their fields are logged with the events in them.
    pub fn wants(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return *metadata.level() <= Level::INFO && metadata.target().starts_with("glance");
        }
        *metadata.level() <= self.level_of(metadata.target())
    }

    /// Returns the most verbose level of all loggers.
    pub fn max_level(&self) -> LevelFilter {
        let levels = self.loggers.iter().filter_map(|logger| logger.level);
        // Spans are enabled up to INFO, see `wants`.
        levels
            .max()
            .unwrap_or(LevelFilter::OFF)
            .max(LevelFilter::INFO)
    }

    /// Passes a record to every handler of its target.
    pub fn log(&self, record: &Record<'_>) {
        for logger in self.path(record.target) {
            for handler in logger
                .handlers
                .iter()
                .filter_map(|index| self.handlers.get(*index))
            {
                if record.level <= handler.level {
                    handler.queue.push(&handler.form.line(record));
                }
            }
            // As in Python, the level of a logger above does not filter a propagated event again.
            if !logger.propagate {
                break;
            }
        }
    }

    fn level_of(&self, target: &str) -> LevelFilter {
        self.path(target)
            .find_map(|logger| logger.level)
            .unwrap_or(LevelFilter::OFF)
    }

    /// Returns the loggers of a target, its own first and the root last.
    fn path(&self, target: &str) -> impl Iterator<Item = &Logger> {
        self.loggers
            .iter()
            .filter(move |logger| logger.covers(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logger(target: &str, level: Option<LevelFilter>) -> Logger {
        Logger {
            target: target.into(),
            level,
            propagate: true,
            handlers: vec![],
        }
    }

    #[test]
    fn level_of_the_nearest_logger_counts() {
        let routes = Routes::new(
            vec![
                logger("", Some(LevelFilter::WARN)),
                logger("glance", None),
                logger("glance::store", Some(LevelFilter::DEBUG)),
            ],
            vec![],
        );
        assert_eq!(routes.level_of("hyper::proto"), LevelFilter::WARN);
        assert_eq!(routes.level_of("glance"), LevelFilter::WARN);
        assert_eq!(routes.level_of("glance::store::file"), LevelFilter::DEBUG);
        // A name with the same prefix is a different name.
        assert_eq!(routes.level_of("glance::stores"), LevelFilter::WARN);
        assert_eq!(routes.max_level(), LevelFilter::DEBUG);
    }
}
