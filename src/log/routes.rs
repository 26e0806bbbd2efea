//! Which events are logged, and to which handlers: the tree of loggers of Python's logging.

use std::sync::Arc;

use tracing::metadata::LevelFilter;
use tracing::{Level, Metadata};

use super::python::clock::{Clock, DateFormat};
use super::python::template::Template;
use super::queue::Queue;
use super::record::Record;

/// A rule for a target and all targets below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Logger {
    /// A path of modules, `glance::store`; empty for the root.
    pub target: String,
    /// `None` asks the logger above.
    pub level: Option<LevelFilter>,
    /// Whether the handlers of the loggers above get the event as well.
    pub propagate: bool,
    /// Indices of handlers.
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

/// The form of a line and the queue it goes to.
pub(super) struct Handler {
    pub level: LevelFilter,
    pub form: LineFormat,
    pub queue: Arc<Queue>,
}

/// How a record becomes a line.
#[derive(Clone)]
pub(super) struct LineFormat {
    pub template: Template,
    pub dates: DateFormat,
}

/// The option that a line's form comes from.
pub(super) const LINE_OPTION: &str = "log_format";
/// The option that a time's form comes from.
const DATE_OPTION: &str = "log_date_format";

impl LineFormat {
    /// Reads both forms; without one for the time, Python's own is used.
    ///
    /// The error names the option and says what is wrong with it.
    pub fn parse(format: &str, dates: Option<&str>) -> Result<Self, (&'static str, String)> {
        let template = Template::parse(format).map_err(|problem| (LINE_OPTION, problem))?;
        let dates = match dates {
            Some(dates) => DateFormat::strftime(dates).map_err(|problem| (DATE_OPTION, problem))?,
            None => DateFormat::Python,
        };
        Ok(Self { template, dates })
    }

    pub fn line(&self, record: &Record<'_>) -> String {
        let mut line = String::with_capacity(record.message.len() + 96);
        self.template.render(record, &self.dates, &mut line);
        line
    }

    /// A line about the log itself.
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
    /// The most special first, so that a target meets its own logger before the ones above it.
    loggers: Vec<Logger>,
    handlers: Vec<Handler>,
}

impl Routes {
    pub fn new(mut loggers: Vec<Logger>, handlers: Vec<Handler>) -> Self {
        loggers.sort_by_key(|logger| std::cmp::Reverse(logger.target.len()));
        Self { loggers, handlers }
    }

    /// Whether an event is logged at all. Spans of this program are kept when they could be of use to an event.
    pub fn wants(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return *metadata.level() <= Level::INFO && metadata.target().starts_with("glance");
        }
        *metadata.level() <= self.level_of(metadata.target())
    }

    /// The loudest level that any target is logged at.
    pub fn max_level(&self) -> LevelFilter {
        let levels = self.loggers.iter().filter_map(|logger| logger.level);
        // Spans are kept up to this level, see `wants`.
        levels
            .max()
            .unwrap_or(LevelFilter::OFF)
            .max(LevelFilter::INFO)
    }

    /// Hands a record to every handler that its target leads to.
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

    /// The loggers of a target, its own first, the root last.
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
    fn the_nearest_level_counts() {
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
        // A name that only begins alike is another name.
        assert_eq!(routes.level_of("glance::stores"), LevelFilter::WARN);
        assert_eq!(routes.max_level(), LevelFilter::DEBUG);
    }
}
