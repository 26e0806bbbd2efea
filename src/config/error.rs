//! Errors and warnings about a configuration, each with its file and line.
//!
//! [`ConfigError::exit_code`] decides between exit codes 1 and 78, as sysexits(3) defines them.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The program succeeded.
pub const EXIT_OK: u8 = 0;
/// No configuration file was found, or the server cannot start.
pub const EXIT_FAILURE: u8 = 1;
/// The command line is invalid (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;
/// The configuration is invalid (`EX_CONFIG` of sysexits).
pub const EXIT_CONFIG: u8 = 78;

/// A line of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// Path of the file as the operator wrote it.
    pub file: String,
    /// Line number from 1; 0 stands for the file as a whole.
    pub line: usize,
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// A setting that is accepted but may not have the effect its author expects. The caller logs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Position of the setting.
    pub position: FilePosition,
    /// The effect of the setting, and the remedy.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

/// A configuration that prevents a start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line names no file and none was found. The text is that of the first Glance.
    #[error("Unable to locate any configuration file. Cannot load application {program}")]
    NotFound {
        /// Name of the program.
        program: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// Path of the file as the operator wrote it.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file contains a password and every user of the machine can read it.
    #[error(
        "{0} contains a password and is readable by every user of this machine: run chmod o-r {0}",
        path.display()
    )]
    WorldReadable {
        /// Path of the file as the operator wrote it.
        path: PathBuf,
    },
    /// A line violates the INI format.
    #[error("{position}: this line {problem}")]
    Syntax {
        /// Position of the option.
        position: FilePosition,
        /// The rest of the sentence "this line ...".
        problem: &'static str,
    },
    /// A value is invalid for its option.
    #[error("{position}: {option} = {given:?}: expected {expected}")]
    BadValue {
        /// Position of the option.
        position: FilePosition,
        /// The option, as `[section] key`.
        option: String,
        /// The value, after substitution.
        given: String,
        /// Description of valid values.
        expected: String,
    },
    /// An option that this release does not support and must not ignore silently.
    /// The value is not shown, because it may contain a password.
    #[error("{position}: {option}: {why}")]
    Unsupported {
        /// Position of the option.
        position: FilePosition,
        /// The option, as `[section] key`.
        option: String,
        /// The reason, and the remedy.
        why: String,
    },
    /// Several problems, one in each line.
    #[error("{}", one_per_line(.0))]
    Several(Vec<ConfigError>),
}

fn one_per_line(problems: &[ConfigError]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl ConfigError {
    /// Combines problems into one error; returns `None` if there are none.
    pub(crate) fn combine(mut problems: Vec<Self>) -> Option<Self> {
        match problems.len() {
            0 | 1 => problems.pop(),
            _ => Some(Self::Several(problems)),
        }
    }

    /// Returns the position of the problem, if it has a line.
    pub(crate) fn position(&self) -> Option<&FilePosition> {
        match self {
            Self::Syntax { position, .. }
            | Self::BadValue { position, .. }
            | Self::Unsupported { position, .. } => Some(position),
            Self::NotFound { .. }
            | Self::Unreadable { .. }
            | Self::WorldReadable { .. }
            | Self::Several(_) => None,
        }
    }

    /// Returns the text of the problem without its position.
    pub(crate) fn problem(&self) -> String {
        let text = self.to_string();
        let position = self.position().map(|position| format!("{position}: "));
        let problem = position.and_then(|position| text.strip_prefix(&position).map(str::to_owned));
        problem.unwrap_or(text)
    }

    /// Returns the exit code of a program that stops because of this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } | Self::Unreadable { .. } => EXIT_FAILURE,
            Self::Several(problems) => {
                let codes = problems.iter().map(Self::exit_code);
                codes.max().unwrap_or(EXIT_CONFIG)
            }
            Self::WorldReadable { .. }
            | Self::Syntax { .. }
            | Self::BadValue { .. }
            | Self::Unsupported { .. } => EXIT_CONFIG,
        }
    }
}
