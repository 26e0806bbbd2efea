//! The command line of the server programs, read with clap.
//!
//! Options of the command line override the configuration file (`log::settings` merges the two).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::config::error::{EXIT_OK, EXIT_USAGE};

const AFTER_HELP: &str = "\
Configuration file:
  The file named on the command line, else the first of <program>.conf, glance-api.conf and
  glance.conf in the folders ./, ~/.glance/, ~/, /etc/glance/ and /etc/. Options of the command
  line override the file.

Signals:
  TERM, INT  stop: accept no connections, let running transfers end (drain_timeout), exit
  USR2       reload: start a new process, which reads the configuration and takes over the
             sockets and the registry; running transfers end in the old process
             (reload_timeout). If the new process fails, the old one continues to serve
  HUP        with --pid-file: reload, or stop if the pid file no longer exists (glance-control);
             without it: reload policy_file and property_protection_file

Exit codes:
  0   the server was stopped
  1   no configuration file was found or readable, or the server could not start
  64  the command line is invalid
  78  the configuration is invalid; the message names file, line and option";

/// The command line of a server.
#[derive(Clone, Debug, Default, Parser)]
#[command(version, about = "OpenStack Image service (Glance)", after_help = AFTER_HELP,
          max_term_width = 100)]
pub struct ServerArgs {
    /// Name of the program, which determines the names of its configuration file and its log.
    #[arg(skip)]
    pub program: &'static str,

    /// Configuration file
    #[arg(value_name = "CONFIG", conflicts_with = "config_file")]
    config: Option<PathBuf>,

    /// Configuration file (the same as the argument CONFIG)
    #[arg(long, value_name = "PATH", alias = "config_file")]
    config_file: Option<PathBuf>,

    /// Print a sample configuration with every option, its help and its default, then exit
    #[arg(long, conflicts_with = "check_config")]
    pub print_config: bool,

    /// Check the configuration, print its warnings and errors, then exit
    #[arg(long)]
    pub check_config: bool,

    /// Log everything
    #[arg(short, long)]
    pub debug: bool,

    /// Log normal events, not only warnings and errors
    #[arg(short, long)]
    pub verbose: bool,

    /// File that contains the process id while the server runs
    #[arg(long, value_name = "PATH", alias = "pid_file")]
    pub pid_file: Option<PathBuf>,

    /// File to log to instead of standard output
    #[arg(long, value_name = "PATH", aliases = ["log_file", "logfile"])]
    pub log_file: Option<PathBuf>,

    /// Folder of the log file
    #[arg(long, value_name = "PATH", aliases = ["log_dir", "logdir"])]
    pub log_dir: Option<PathBuf>,

    /// Format of a log line in the style of Python's logging
    /// [default: %(asctime)s %(levelname)8s [%(name)s] %(message)s]
    #[arg(long, value_name = "FORMAT", alias = "log_format")]
    pub log_format: Option<String>,

    /// Format of the time in a log line in the style of strftime [default: %Y-%m-%d %H:%M:%S]
    #[arg(long, value_name = "FORMAT", alias = "log_date_format")]
    pub log_date_format: Option<String>,

    /// File in the format of Python's logging configuration; overrides all other logging options
    #[arg(long, value_name = "PATH", aliases = ["log_config", "log-config-append"])]
    pub log_config: Option<PathBuf>,
}

impl ServerArgs {
    /// Reads the command line of this process. Prints help, version and errors.
    ///
    /// # Errors
    /// Returns the exit code: 0 after help or version, 64 after an error.
    pub fn parse_process_args(program: &'static str) -> Result<Self, u8> {
        Self::from_words(program, std::env::args_os()).map_err(|error| {
            // If standard error is closed, there is no other channel for the message.
            let _ = error.print();
            if error.use_stderr() {
                EXIT_USAGE
            } else {
                EXIT_OK
            }
        })
    }

    /// Parses the given words; the first one is the name under which the program was called.
    ///
    /// # Errors
    /// Returns clap's error, which also stands for `--help` and `--version`.
    pub fn from_words<I, W>(program: &'static str, words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = W>,
        W: Into<OsString> + Clone,
    {
        let command = Self::command().name(program).bin_name(program);
        let args = Self::from_arg_matches(&command.try_get_matches_from(words)?)?;
        Ok(Self { program, ..args })
    }

    /// Returns the configuration file that the command line names, in either way.
    pub fn config_file(&self) -> Option<&Path> {
        self.config.as_deref().or(self.config_file.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<ServerArgs, clap::Error> {
        ServerArgs::from_words("glance-api", std::iter::once(&"glance-api").chain(words))
    }

    #[test]
    fn command_definition_is_consistent() {
        ServerArgs::command().debug_assert();
    }

    #[test]
    fn config_file_is_an_argument_or_an_option_but_not_both() {
        let file = |words: &[&str]| {
            read(words)
                .expect("sound")
                .config_file()
                .map(Path::to_owned)
        };
        assert_eq!(file(&["a.conf", "--debug"]), Some("a.conf".into()));
        assert_eq!(file(&["--config-file", "a.conf"]), Some("a.conf".into()));
        assert_eq!(file(&["--config-file=a.conf"]), Some("a.conf".into()));
        assert_eq!(file(&[]), None);
        assert!(read(&["a.conf", "--config-file", "b.conf"]).is_err());
        assert!(read(&["a.conf", "b.conf"]).is_err());
    }

    #[test]
    fn logging_options_of_glance_are_accepted() {
        let args = read(&[
            "-d",
            "-v",
            "--log_file=a.log",
            "--log_dir",
            "/var/log",
            "--log-format=%(message)s",
            "--log_date_format=%H",
            "--log-config=l.conf",
        ]);
        let args = args.expect("sound");
        assert!(args.debug && args.verbose);
        assert_eq!(args.log_file, Some("a.log".into()));
        assert_eq!(args.log_dir, Some("/var/log".into()));
        assert_eq!(args.log_format.as_deref(), Some("%(message)s"));
        assert_eq!(args.log_date_format.as_deref(), Some("%H"));
        assert_eq!(args.log_config, Some("l.conf".into()));
    }

    #[test]
    fn help_names_the_program_and_its_exit_codes() {
        let help = read(&["--help"]).expect_err("help is no run");
        assert!(!help.use_stderr());
        let help = help.to_string();
        for word in [
            "glance-api",
            "--log-date-format",
            "Exit codes",
            "78",
            "drain_timeout",
        ] {
            assert!(help.contains(word), "{word} is not in {help}");
        }
        let wrong = read(&["--no-such"]).expect_err("wrong");
        assert!(wrong.use_stderr());
    }
}
