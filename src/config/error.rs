//! What can be wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The configuration is sound.
pub const EXIT_OK: u8 = 0;
/// There is no configuration, or the server cannot start.
pub const EXIT_FAILURE: u8 = 1;
/// The command line is wrong (`EX_USAGE` of sysexits).
pub const EXIT_USAGE: u8 = 64;
/// The configuration is wrong (`EX_CONFIG` of sysexits).
pub const EXIT_CONFIG: u8 = 78;

/// A line of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// The file as it was named.
    pub file: String,
    /// From 1; 0 is the file as a whole.
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

/// Something that works but not as its writer may think. The caller logs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub position: FilePosition,
    /// What is so, and what to do.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

/// Why there is no configuration to start with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file was named and none was found; the words are those of the first Glance.
    #[error("Unable to locate any configuration file. Cannot load application {program}")]
    NotFound {
        /// The program that looked.
        program: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Everybody on this machine may read a password in it.
    #[error(
        "{0} has a password in it and may be read by everybody on this machine: chmod o-r {0}",
        path.display()
    )]
    WorldReadable {
        /// The file as it was named.
        path: PathBuf,
    },
    /// A line is no INI.
    #[error("{position}: this line {problem}")]
    Syntax {
        /// Where it stands.
        position: FilePosition,
        /// The rest of the sentence "this line ...".
        problem: &'static str,
    },
    /// A value is not what its option wants.
    #[error("{position}: {option} = {given:?}: expected {expected}")]
    BadValue {
        /// Where it stands.
        position: FilePosition,
        /// The option, as `[section] key`.
        option: String,
        /// The value, after substitution.
        given: String,
        /// What would have been taken.
        expected: String,
    },
    /// An option that this release cannot honour and must not pass over in silence.
    /// The value is not shown: it may hold a password.
    #[error("{position}: {option}: {why}")]
    Unsupported {
        /// Where it stands.
        position: FilePosition,
        /// The option, as `[section] key`.
        option: String,
        /// Why, and what to do.
        why: String,
    },
    /// Several problems, one a line.
    #[error("{}", one_a_line(.0))]
    Several(Vec<ConfigError>),
}

fn one_a_line(problems: &[ConfigError]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl ConfigError {
    /// All problems as one; `None` when there are none.
    pub(crate) fn of_all(mut problems: Vec<Self>) -> Option<Self> {
        match problems.len() {
            0 | 1 => problems.pop(),
            _ => Some(Self::Several(problems)),
        }
    }

    /// Where it stands, where it has a line.
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

    /// The problem, without its place.
    pub(crate) fn problem(&self) -> String {
        let text = self.to_string();
        let position = self.position().map(|position| format!("{position}: "));
        let problem = position.and_then(|position| text.strip_prefix(&position).map(str::to_owned));
        problem.unwrap_or(text)
    }

    /// The exit code a program ends with.
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
