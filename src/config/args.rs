//! The command line of a server program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::config::error::{EXIT_OK, EXIT_USAGE};

const AFTER_HELP: &str = "\
Configuration file:
  The one named here, else the first that is found in ./, ~/.glance/, ~/, /etc/glance/, /etc/:
  in each <program>.conf is looked for, then glance.conf. The command line wins over the file.

Signals:
  TERM, INT  accept no more, let transfers in flight end (drain_timeout), exit
  USR2       reload: start this program anew, which reads the configuration and takes over the
             sockets and the registry; what is in flight ends here (reload_timeout). When that
             fails the server goes on as before
  HUP        with --pid-file: reload, or, when the file is gone, as TERM (glance-control);
             else read policy and property protection again

Exit codes:
  0   it ended as it was told to
  1   no configuration was found or could be read, or the server could not start
  64  the command line is wrong
  78  the configuration is wrong; the message names file, line and option";

/// What can be said on the command line of a server.
#[derive(Clone, Debug, Default, Parser)]
#[command(version, about = "OpenStack Image service (Glance)", after_help = AFTER_HELP, max_term_width = 100)]
pub struct ServerArgs {
    /// The program that was called; names its configuration and its log.
    #[arg(skip)]
    pub program: &'static str,

    /// Configuration file
    #[arg(value_name = "CONFIG", conflicts_with = "config_file")]
    config: Option<PathBuf>,

    /// Configuration file, by name
    #[arg(long, value_name = "PATH", alias = "config_file")]
    config_file: Option<PathBuf>,

    /// Print a sample configuration with every option, its help and its default, and exit
    #[arg(long, conflicts_with = "check_config")]
    pub print_config: bool,

    /// Read the configuration, print its warnings or its error, and exit
    #[arg(long)]
    pub check_config: bool,

    /// Log everything, for finding faults
    #[arg(short, long)]
    pub debug: bool,

    /// Log what happens, not only what goes wrong
    #[arg(short, long)]
    pub verbose: bool,

    /// File that the process id is written to while the server serves
    #[arg(long, value_name = "PATH", alias = "pid_file")]
    pub pid_file: Option<PathBuf>,

    /// File to log to instead of standard output
    #[arg(long, value_name = "PATH", aliases = ["log_file", "logfile"])]
    pub log_file: Option<PathBuf>,

    /// Folder that the log file is in
    #[arg(long, value_name = "PATH", aliases = ["log_dir", "logdir"])]
    pub log_dir: Option<PathBuf>,

    /// Form of a log line, as Python's logging writes it
    /// [default: %(asctime)s %(levelname)8s [%(name)s] %(message)s]
    #[arg(long, value_name = "FORMAT", alias = "log_format")]
    pub log_format: Option<String>,

    /// Form of the time in a log line, as strftime writes it [default: %Y-%m-%d %H:%M:%S]
    #[arg(long, value_name = "FORMAT", alias = "log_date_format")]
    pub log_date_format: Option<String>,

    /// File in the form of Python's logging configuration; wins over every other logging option
    #[arg(long, value_name = "PATH", aliases = ["log_config", "log-config-append"])]
    pub log_config: Option<PathBuf>,
}

impl ServerArgs {
    /// Reads the command line of this process. Help, version and complaints are printed here.
    ///
    /// # Errors
    /// The exit code to end with: 0 after help and version, 64 after a complaint.
    pub fn of_process(program: &'static str) -> Result<Self, u8> {
        Self::from_words(program, std::env::args_os()).map_err(|error| {
            // Nothing is left to tell anybody when this fails.
            let _ = error.print();
            if error.use_stderr() {
                EXIT_USAGE
            } else {
                EXIT_OK
            }
        })
    }

    /// Reads the given words, the first of which is the program's name as it was called.
    ///
    /// # Errors
    /// What clap has to say, help and version included.
    pub fn from_words<I, W>(program: &'static str, words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = W>,
        W: Into<OsString> + Clone,
    {
        let command = Self::command().name(program).bin_name(program);
        let args = Self::from_arg_matches(&command.try_get_matches_from(words)?)?;
        Ok(Self { program, ..args })
    }

    /// The configuration file that was named, in either way.
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
    fn the_command_is_consistent() {
        ServerArgs::command().debug_assert();
    }

    #[test]
    fn the_file_in_both_ways_but_not_both() {
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
    fn the_logging_flags_of_the_seeds() {
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
