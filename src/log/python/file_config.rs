//! Reads the configuration file of Python's logging (`logging.config.fileConfig`).
//!
//! Supported are loggers with level, qualname, propagate and handlers; StreamHandler to standard
//! output or error; FileHandler, WatchedFileHandler and RotatingFileHandler, all of which follow a
//! file that is moved and none of which rotates; NullHandler; formatters with format and datefmt;
//! and oslo's ContextFormatter. Anything else prevents a start, with its line, except for a handler
//! that no logger uses, which causes a warning.
//!
//! Source: Python's "Configuration file format" of `logging.config`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use tracing::metadata::LevelFilter;

use super::args::{self, Arg};
use crate::config::ini::{self, Entry, Ini};
use crate::config::{FilePosition, Warning};
use crate::log::error::LogError;
use crate::log::output::Destination;
use crate::log::routes::{LineFormat, Logger};
use crate::log::settings::{HandlerSpec, LoggingPlan};

/// The default format of Python's formatter.
const PLAIN_FORMAT: &str = "%(message)s";

/// The format of oslo's ContextFormatter outside of a request (`logging_default_format_string`).
/// The request id follows the message here, as a field.
const CONTEXT_FORMAT: &str =
    "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s [-] %(message)s";

/// The format of times of oslo's ContextFormatter (`log_date_format`).
const CONTEXT_DATE_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// Reads a file.
///
/// # Errors
/// Returns [`LogError::Unreadable`], or [`LogError::Config`] with the line of the mistake.
pub(in crate::log) fn load(path: &Path) -> Result<LoggingPlan, LogError> {
    let text = fs::read_to_string(path).map_err(|source| LogError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    from_text(&path.display().to_string(), &text)
}

/// Reads text in place of the file `name`.
pub(in crate::log) fn from_text(name: &str, text: &str) -> Result<LoggingPlan, LogError> {
    let ini = ini::parse(text).map_err(|bad| LogError::Config {
        position: FilePosition {
            file: name.to_owned(),
            line: bad.line,
        },
        problem: format!("this line {}", bad.problem),
    })?;
    Reader {
        name,
        ini: &ini,
        warnings: Vec::new(),
    }
    .read()
}

/// Index of each handler among those that will be opened, by name; `None` for one that writes
/// nothing.
type HandlerIndexes<'a> = HashMap<&'a str, Option<usize>>;

struct Reader<'a> {
    name: &'a str,
    ini: &'a Ini,
    warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    fn read(mut self) -> Result<LoggingPlan, LogError> {
        let names = self.names("handlers")?;
        let loggers: Vec<_> = self.names("loggers")?;
        if !loggers.contains(&"root") {
            return Err(self.missing("loggers", "keys must name root"));
        }
        let (handlers, positions) = self.handlers(&names, &loggers)?;
        let loggers = loggers
            .iter()
            .map(|name| self.logger(name, &positions))
            .collect::<Result<_, _>>()?;
        Ok(LoggingPlan {
            loggers,
            handlers,
            warnings: self.warnings,
        })
    }

    /// Returns the `keys` of one of the three lists.
    fn names(&self, section: &str) -> Result<Vec<&'a str>, LogError> {
        let keys = self
            .entry(section, "keys")
            .ok_or_else(|| self.missing(section, "keys are missing"))?;
        Ok(words(&keys.value))
    }

    /// Returns the handlers that are used, with their indexes by name. An unused handler that
    /// cannot be read causes only a warning, because sample files list many unused handlers.
    fn handlers(
        &mut self,
        names: &[&'a str],
        loggers: &[&str],
    ) -> Result<(Vec<HandlerSpec>, HandlerIndexes<'a>), LogError> {
        let used = |name: &str| {
            let mut sections = loggers.iter().map(|logger| format!("logger_{logger}"));
            sections.any(|section| {
                let entry = self.value(&section, "handlers");
                entry.is_some_and(|entry| words(&entry.value).contains(&name))
            })
        };
        let used: Vec<bool> = names.iter().map(|name| used(name)).collect();
        let (mut handlers, mut positions) = (Vec::new(), HandlerIndexes::new());
        for (name, is_used) in names.iter().zip(used) {
            let handler = self.handler(name);
            let position = match handler {
                Ok(handler) if is_used => handler.map(|handler| {
                    handlers.push(handler);
                    handlers.len() - 1
                }),
                Err(error) if is_used => return Err(error),
                Err(LogError::Config { position, problem }) => {
                    let message = format!("the unused handler {name} is ignored: {problem}");
                    self.warnings.push(Warning { position, message });
                    None
                }
                Ok(_) | Err(_) => None,
            };
            positions.insert(name, position);
        }
        Ok((handlers, positions))
    }

    fn logger(&self, name: &str, positions: &HandlerIndexes<'_>) -> Result<Logger, LogError> {
        let section = format!("logger_{name}");
        self.check_keys(&section, &["level", "handlers", "qualname", "propagate"])?;
        let mut handlers = Vec::new();
        if let Some(entry) = self.value(&section, "handlers") {
            for word in words(&entry.value) {
                match positions.get(word) {
                    Some(position) => handlers.extend(*position),
                    None => {
                        let problem = format!("[handlers] has no handler {word}");
                        return Err(self.wrong(entry, problem));
                    }
                }
            }
        }
        let level = self.level(&section)?;
        if name == "root" {
            let level = Some(level.unwrap_or(LevelFilter::WARN));
            return Ok(Logger {
                target: String::new(),
                level,
                propagate: true,
                handlers,
            });
        }
        let qualname = self
            .value(&section, "qualname")
            .ok_or_else(|| self.missing(&section, "qualname is missing"))?;
        Ok(Logger {
            target: qualname.value.replace('.', "::"),
            // NOTSET inherits the level of the logger above.
            level: level.filter(|level| *level != LevelFilter::TRACE),
            propagate: self
                .value(&section, "propagate")
                .is_none_or(|entry| entry.value != "0"),
            handlers,
        })
    }

    /// Reads a handler; returns `None` for a NullHandler.
    fn handler(&mut self, name: &str) -> Result<Option<HandlerSpec>, LogError> {
        let section = format!("handler_{name}");
        self.check_keys(&section, &["class", "level", "formatter", "args"])?;
        let class = self.value(&section, "class");
        if class.is_some_and(|class| last_name(&class.value) == "NullHandler") {
            return Ok(None);
        }
        let (format, date_format) = match self.value(&section, "formatter") {
            Some(entry) => self.formatter(&entry.value)?,
            None => (PLAIN_FORMAT.to_owned(), None),
        };
        Ok(Some(HandlerSpec {
            level: self.level(&section)?.unwrap_or(LevelFilter::TRACE),
            destination: self.destination(&section)?,
            format,
            date_format,
        }))
    }

    fn formatter(&self, name: &str) -> Result<(String, Option<String>), LogError> {
        let section = format!("formatter_{name}");
        self.check_keys(&section, &["format", "datefmt", "class", "style"])?;
        let class = self.value(&section, "class");
        let is_context = match class.map(|class| last_name(&class.value)) {
            None | Some("Formatter") => false,
            Some("ContextFormatter") => true,
            Some(_) => {
                let problem = "the formatter classes are logging.Formatter and \
                               oslo_log.formatters.ContextFormatter";
                return Err(match class {
                    Some(class) => self.wrong(class, problem.into()),
                    None => self.missing(&section, problem),
                });
            }
        };
        if let Some(style) = self
            .value(&section, "style")
            .filter(|style| style.value != "%")
        {
            return Err(self.wrong(style, "the only style is %".into()));
        }
        let text = |key| self.value(&section, key).map(|entry| entry.value.clone());
        let (format, date_format) = match is_context {
            // oslo takes the format from options of its own and ignores the one of the file.
            true => (
                CONTEXT_FORMAT.to_owned(),
                Some(text("datefmt").unwrap_or(CONTEXT_DATE_FORMAT.into())),
            ),
            false => (
                text("format").unwrap_or(PLAIN_FORMAT.into()),
                text("datefmt"),
            ),
        };
        self.try_form(&section, &format, date_format.as_deref())?;
        Ok((format, date_format))
    }

    /// Checks the formats here, where the line of a mistake is known.
    fn try_form(&self, section: &str, format: &str, dates: Option<&str>) -> Result<(), LogError> {
        let at = |key, problem| match self.value(section, key) {
            Some(entry) => self.wrong(entry, problem),
            None => self.missing(section, &problem),
        };
        LineFormat::parse(format, None).map_err(|(_, problem)| at("format", problem))?;
        LineFormat::parse(PLAIN_FORMAT, dates).map_err(|(_, problem)| at("datefmt", problem))?;
        Ok(())
    }

    fn destination(&mut self, section: &str) -> Result<Destination, LogError> {
        let class = self
            .value(section, "class")
            .ok_or_else(|| self.missing(section, "class is missing"))?;
        let name = last_name(&class.value);
        let args = match self.value(section, "args") {
            Some(entry) => args::parse(&entry.value).ok_or_else(|| {
                self.wrong(
                    entry,
                    "arguments can be plain texts, numbers, sys.stdout and sys.stderr only".into(),
                )
            })?,
            None => Vec::new(),
        };
        match name {
            "StreamHandler" => self.stream(section, class, &args),
            "FileHandler" | "WatchedFileHandler" => self.file(section, class, &args),
            "RotatingFileHandler" | "TimedRotatingFileHandler" => {
                let message = format!(
                    "{name} does not rotate the file; use logrotate, after which the file is reopened"
                );
                self.warnings.push(Warning {
                    position: self.position(class.line),
                    message,
                });
                self.file(section, class, &args)
            }
            _ => Err(self.wrong(
                class,
                format!(
                    "the handler {name} is not supported; log to standard output or to a file and \
                     forward the log"
                ),
            )),
        }
    }

    fn stream(&self, section: &str, class: &Entry, args: &[Arg]) -> Result<Destination, LogError> {
        match args {
            [] => Ok(Destination::Stderr),
            [Arg::Word(word)] if word == "sys.stderr" => Ok(Destination::Stderr),
            [Arg::Word(word)] if word == "sys.stdout" => Ok(Destination::Stdout),
            _ => Err(self.bad_args(section, class, "expected (sys.stdout,) or (sys.stderr,)")),
        }
    }

    fn file(&self, section: &str, class: &Entry, args: &[Arg]) -> Result<Destination, LogError> {
        let append = Arg::Text("a".into());
        let rotates = class.value.contains("Rotating");
        match args {
            [Arg::Text(path), mode, ..] if !path.is_empty() && (rotates || *mode == append) => {
                Ok(Destination::File(path.into()))
            }
            [Arg::Text(path)] if !path.is_empty() => Ok(Destination::File(path.into())),
            _ => Err(self.bad_args(
                section,
                class,
                "expected ('/path/of/file',) or ('/path/of/file', 'a')",
            )),
        }
    }

    fn level(&self, section: &str) -> Result<Option<LevelFilter>, LogError> {
        let Some(entry) = self.value(section, "level") else {
            return Ok(None);
        };
        let expected = "expected DEBUG, INFO, WARNING, ERROR, CRITICAL or NOTSET";
        python_level(&entry.value)
            .map(Some)
            .ok_or_else(|| self.wrong(entry, expected.into()))
    }

    /// Rejects unknown keys, because they could change what is logged.
    fn check_keys(&self, section: &str, known: &[&str]) -> Result<(), LogError> {
        let mut entries = self.ini.entries.iter();
        match entries.find(|entry| entry.section == section && !known.contains(&entry.key.as_str()))
        {
            Some(entry) => Err(self.wrong(
                entry,
                format!("unknown key; the keys are {}", known.join(", ")),
            )),
            None => Ok(()),
        }
    }

    fn entry(&self, section: &str, key: &str) -> Option<&'a Entry> {
        self.ini.last(section, key)
    }

    /// Returns an entry that is not empty.
    fn value(&self, section: &str, key: &str) -> Option<&'a Entry> {
        self.entry(section, key)
            .filter(|entry| !entry.value.is_empty())
    }

    fn position(&self, line: usize) -> FilePosition {
        FilePosition {
            file: self.name.to_owned(),
            line,
        }
    }

    fn wrong(&self, entry: &Entry, problem: String) -> LogError {
        let problem = format!("{entry} = {:?}: {problem}", entry.value);
        LogError::Config {
            position: self.position(entry.line),
            problem,
        }
    }

    fn bad_args(&self, section: &str, class: &Entry, expected: &str) -> LogError {
        self.wrong(
            self.entry(section, "args").unwrap_or(class),
            expected.to_owned(),
        )
    }

    /// Returns the error of a section as a whole, or of a missing section (line 0).
    fn missing(&self, section: &str, problem: &str) -> LogError {
        let header = self.ini.sections.iter().find(|(name, _)| name == section);
        let line = header.map_or(0, |(_, line)| *line);
        LogError::Config {
            position: self.position(line),
            problem: format!("[{section}]: {problem}"),
        }
    }
}

/// Returns the class of a dotted name.
fn last_name(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or_default()
}

fn words(list: &str) -> Vec<&str> {
    list.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect()
}

/// Returns the level of a name in Python's logging.
fn python_level(name: &str) -> Option<LevelFilter> {
    match name {
        "NOTSET" => Some(LevelFilter::TRACE),
        "DEBUG" => Some(LevelFilter::DEBUG),
        "INFO" => Some(LevelFilter::INFO),
        "WARN" | "WARNING" => Some(LevelFilter::WARN),
        "ERROR" => Some(LevelFilter::ERROR),
        // This program has no level above ERROR, so CRITICAL disables the logger.
        "CRITICAL" | "FATAL" => Some(LevelFilter::OFF),
        _ => None,
    }
}
