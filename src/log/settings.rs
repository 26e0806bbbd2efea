//! The logging settings of an operator, and the loggers and handlers that follow from them.

use std::path::PathBuf;

use tracing::metadata::LevelFilter;

use super::output::Destination;
use super::routes::Logger;
use crate::config::{Config, ServerArgs, Warning};

/// Target of messages about the start and the end of a process.
pub const STARTUP: &str = "glance::startup";
/// Target of the access log.
pub const ACCESS: &str = "glance::access";

/// The logging settings of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Logs everything.
    pub debug: bool,
    /// Logs normal events, not only warnings and errors.
    pub verbose: bool,
    /// Logs each request.
    pub access_log: bool,
    /// Destination of the lines.
    pub destination: Destination,
    /// Format of a line in the style of Python's logging.
    pub format: String,
    /// Format of the time in the style of strftime.
    pub date_format: String,
    /// Memory for lines that wait to be written, in bytes.
    pub queue_size_bytes: usize,
    /// File in the format of Python's logging configuration. It overrides all of the settings above
    /// but the size of the queue.
    pub config_file: Option<PathBuf>,
}

impl LogSettings {
    /// Merges the command line with the file. The command line takes precedence.
    pub fn from(args: &ServerArgs, config: &Config) -> Self {
        let file = &config.log;
        let first =
            |arg: &Option<PathBuf>, option: &Option<PathBuf>| arg.clone().or(option.clone());
        let log_file = first(&args.log_file, &file.log_file);
        let log_dir = first(&args.log_dir, &file.log_dir);
        let fallback = if file.use_stderr {
            Destination::Stderr
        } else {
            Destination::Stdout
        };
        Self {
            debug: args.debug || file.debug,
            verbose: args.verbose || file.verbose,
            access_log: file.access_log,
            destination: log_path(args.program, log_file, log_dir)
                .map_or(fallback, Destination::File),
            format: args.log_format.clone().unwrap_or(file.log_format.clone()),
            date_format: args
                .log_date_format
                .clone()
                .unwrap_or(file.log_date_format.clone()),
            queue_size_bytes: file.log_queue_size,
            config_file: first(&args.log_config, &file.log_config_append),
        }
    }

    /// Returns the level of this program's events.
    fn level(&self) -> LevelFilter {
        match (self.debug, self.verbose) {
            (true, _) => LevelFilter::DEBUG,
            (false, true) => LevelFilter::INFO,
            (false, false) => LevelFilter::WARN,
        }
    }
}

/// Returns the path of the log file. In a folder without a file name it is `<program>.log`, as in
/// oslo.
fn log_path(program: &str, file: Option<PathBuf>, dir: Option<PathBuf>) -> Option<PathBuf> {
    match (file, dir) {
        (Some(file), Some(dir)) => Some(dir.join(file)),
        (Some(file), None) => Some(file),
        (None, Some(dir)) => Some(dir.join(format!("{program}.log"))),
        (None, None) => None,
    }
}

/// A handler that is not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HandlerSpec {
    pub level: LevelFilter,
    pub destination: Destination,
    pub format: String,
    /// Format of times; `None` stands for the default of Python's logging.
    pub date_format: Option<String>,
}

/// Loggers and handlers that are not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoggingPlan {
    pub loggers: Vec<Logger>,
    pub handlers: Vec<HandlerSpec>,
    pub warnings: Vec<Warning>,
}

impl LoggingPlan {
    /// Returns a plan with one handler. Lines of the start and of the access log are enabled at
    /// every level, so that a new operator sees them.
    pub fn from_settings(settings: &LogSettings) -> Self {
        let logger = |target: &str, level, handlers| Logger {
            target: target.into(),
            level: Some(level),
            propagate: true,
            handlers,
        };
        let level = settings.level();
        let access = match settings.access_log {
            true => level.max(LevelFilter::INFO),
            false => LevelFilter::OFF,
        };
        Self {
            loggers: vec![
                // Debug messages of libraries do not help operators.
                logger("", level.min(LevelFilter::INFO), vec![0]),
                logger("glance", level, vec![]),
                logger(STARTUP, level.max(LevelFilter::INFO), vec![]),
                logger(ACCESS, access, vec![]),
            ],
            handlers: vec![HandlerSpec {
                level: LevelFilter::TRACE,
                destination: settings.destination.clone(),
                format: settings.format.clone(),
                date_format: Some(settings.date_format.clone()),
            }],
            warnings: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(words: &[&str], text: &str) -> LogSettings {
        let words = std::iter::once(&"glance-api").chain(words);
        let args = ServerArgs::from_words("glance-api", words).expect("a sound command line");
        let (config, _) = Config::from_text("g.conf", text).expect("a sound file");
        LogSettings::from(&args, &config)
    }

    #[test]
    fn command_line_overrides_the_file() {
        let file =
            "[DEFAULT]\nlog_file = a.log\nlog_dir = /var/log\nlog_format = %(name)s\nverbose = 1\n";
        let from_file = settings(&[], file);
        assert_eq!(
            from_file.destination,
            Destination::File("/var/log/a.log".into())
        );
        assert_eq!(from_file.format, "%(name)s");
        assert!(from_file.verbose && !from_file.debug);

        let words = [
            "--log-file=b.log",
            "--log-dir=/tmp",
            "--log-format=%(message)s",
            "-d",
        ];
        let both = settings(&words, file);
        assert_eq!(both.destination, Destination::File("/tmp/b.log".into()));
        assert_eq!(both.format, "%(message)s");
        assert!(both.verbose && both.debug);
    }

    #[test]
    fn destination_follows_from_the_options() {
        let of = |text: &str| settings(&[], &format!("[DEFAULT]\n{text}\n")).destination;
        assert_eq!(of(""), Destination::Stdout);
        assert_eq!(of("use_stderr = true"), Destination::Stderr);
        assert_eq!(
            of("log_dir = /l"),
            Destination::File("/l/glance-api.log".into())
        );
        assert_eq!(
            of("log_dir = /l\nlog_file = /x/y"),
            Destination::File("/x/y".into())
        );
    }

    #[test]
    fn start_and_access_lines_are_logged_at_every_level() {
        let levels = |text: &str| -> Vec<_> {
            let plan = LoggingPlan::from_settings(&settings(&[], &format!("[DEFAULT]\n{text}\n")));
            plan.loggers
                .iter()
                .filter_map(|logger| logger.level)
                .collect()
        };
        let (debug, info) = (LevelFilter::DEBUG, LevelFilter::INFO);
        let (warn, off) = (LevelFilter::WARN, LevelFilter::OFF);
        assert_eq!(levels(""), [warn, warn, info, info]);
        assert_eq!(levels("verbose = 1"), [info, info, info, info]);
        assert_eq!(levels("debug = 1"), [info, debug, debug, debug]);
        assert_eq!(levels("access_log = no"), [warn, warn, info, off]);
    }
}
