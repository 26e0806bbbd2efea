//! The command line of `glance-control`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::servers::Server;
use crate::config::{EXIT_OK, EXIT_USAGE};
use crate::console::print_error;

const AFTER_HELP: &str = "\
Commands:
  start         start it, and wait until it serves (15 s)
  stop          SIGTERM: accept no more, finish what is in flight (drain_timeout); wait 15 s
  shutdown      the same by SIGHUP, with the pid file removed first
  restart       stop, then start
  reload        SIGHUP: start a successor that reads the configuration again and takes over the
                sockets; no request fails. If the configuration is wrong, the errors are printed
                and nothing changes. glance-scrubber is shut down and started instead
  force-reload  the same as reload
  status        report whether it runs

all: glance-api; glance-registry where the configuration names one; glance-scrubber where
glance-api does not scrub itself.

Exit codes:
  0   success; status: it runs
  1   failure; status: it has ended without removing its pid file
  3   status: it does not run
  64  the command line is wrong";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "glance-control", version, about = "Starts, stops and reloads Glance's servers",
          after_help = AFTER_HELP, max_term_width = 100)]
pub(super) struct Args {
    /// Server
    #[arg(value_name = "SERVER")]
    pub(super) target: Target,

    /// Command
    #[arg(value_name = "COMMAND")]
    pub(super) command: Command,

    /// Configuration file [default: the one that the server finds]
    #[arg(value_name = "CONFPATH")]
    pub(super) config: Option<PathBuf>,

    /// Pid file of the server [default: /var/run/glance/<server>.pid]
    #[arg(long, value_name = "PATH", alias = "pid_file")]
    pub(super) pid_file: Option<PathBuf>,
}

/// The servers that a command applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Target {
    All,
    #[value(alias = "glance-api")]
    Api,
    #[value(alias = "glance-registry")]
    Registry,
    #[value(alias = "glance-scrubber")]
    Scrubber,
}

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Command {
    Start,
    Stop,
    Shutdown,
    Restart,
    Reload,
    ForceReload,
    Status,
}

impl Target {
    /// Returns the servers in the order in which they are started.
    pub(super) fn servers(self) -> &'static [Server] {
        match self {
            // The registry first, because the API server waits for it.
            Self::All => &[Server::Registry, Server::Api, Server::Scrubber],
            Self::Api => &[Server::Api],
            Self::Registry => &[Server::Registry],
            Self::Scrubber => &[Server::Scrubber],
        }
    }
}

impl Args {
    /// Reads the command line of this process. Prints help, version and errors.
    ///
    /// # Errors
    /// The exit code to end with.
    pub(super) fn of_process() -> Result<Self, u8> {
        let args = Self::try_parse().map_err(|error| {
            // If this fails, the exit code is the only report.
            let _ = error.print();
            if error.use_stderr() {
                EXIT_USAGE
            } else {
                EXIT_OK
            }
        })?;
        if args.target == Target::All && args.pid_file.is_some() {
            print_error("--pid-file applies to one server; name the server or omit the option");
            return Err(EXIT_USAGE);
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn commands_of_glance_are_accepted() {
        Args::command().debug_assert();
        let read = |words: &str| Args::try_parse_from(words.split(' '));
        let args = read("glance-control --pid-file /a.pid api force-reload /etc/a.conf").unwrap();
        assert_eq!(
            (args.target, args.command),
            (Target::Api, Command::ForceReload)
        );
        assert_eq!(args.config, Some("/etc/a.conf".into()));
        assert_eq!(args.pid_file, Some("/a.pid".into()));
        for command in ["start", "stop", "shutdown", "restart", "reload", "status"] {
            for target in ["all", "api", "registry", "scrubber", "glance-api"] {
                read(&format!("glance-control {target} {command}")).unwrap();
            }
        }
        assert!(read("glance-control api").is_err());
        assert!(read("glance-control teapot start").is_err());
    }
}
