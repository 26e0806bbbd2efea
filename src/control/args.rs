//! The command line of `glance-control`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use super::servers::Server;
use crate::config::{EXIT_OK, EXIT_USAGE};

const AFTER_HELP: &str = "\
Commands:
  start         start it, and wait until it serves (15 s)
  stop          SIGTERM: accept no more, finish what is in flight (drain_timeout); wait 15 s
  shutdown      the same by SIGHUP, with the pid file removed before
  restart       stop, then start
  reload        SIGHUP: start a successor that reads the configuration anew and takes over its
                sockets; no request fails. A configuration that is wrong is said, and nothing is
                done. glance-scrubber has none: it is shut down and started
  force-reload  the same as reload
  status        tell whether it runs

all: glance-api; glance-registry where the configuration names one; glance-scrubber where
glance-api does not scrub itself.

Exit codes:
  0   done; status: it runs
  1   not done; status: it has ended without removing its pid file
  3   status: it does not run
  64  the command line is wrong";

/// What can be said on the command line.
#[derive(Debug, Parser)]
#[command(name = "glance-control", version, about = "Starts, ends and reloads Glance's servers",
          after_help = AFTER_HELP, max_term_width = 100)]
pub(super) struct Args {
    /// Whom it is about
    #[arg(value_name = "SERVER")]
    pub(super) target: Target,

    /// What is to be done
    #[arg(value_name = "COMMAND")]
    pub(super) command: Command,

    /// Configuration file [default: the one the server finds by itself]
    #[arg(value_name = "CONFPATH")]
    pub(super) config: Option<PathBuf>,

    /// File that the server's process id is in [default: /var/run/glance/<server>.pid]
    #[arg(long, value_name = "PATH", alias = "pid_file")]
    pub(super) pid_file: Option<PathBuf>,
}

/// Whom a command is about.
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

/// What is to be done.
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
    /// The servers it stands for.
    pub(super) fn servers(self) -> &'static [Server] {
        match self {
            // Who is asked comes before who asks.
            Self::All => &[Server::Registry, Server::Api, Server::Scrubber],
            Self::Api => &[Server::Api],
            Self::Registry => &[Server::Registry],
            Self::Scrubber => &[Server::Scrubber],
        }
    }
}

impl Args {
    /// Reads the command line of this process. Help, version and complaints are printed here.
    ///
    /// # Errors
    /// The exit code to end with.
    pub(super) fn of_process() -> Result<Self, u8> {
        let args = Self::try_parse().map_err(|error| {
            // Nothing is left to tell anybody when this fails.
            let _ = error.print();
            if error.use_stderr() {
                EXIT_USAGE
            } else {
                EXIT_OK
            }
        })?;
        if args.target == Target::All && args.pid_file.is_some() {
            eprintln!("--pid-file is the file of one server; name one, or leave the option out");
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
    fn the_words_of_glance() {
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
