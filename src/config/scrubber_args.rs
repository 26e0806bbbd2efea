//! The command line of `glance-scrubber`: that of a server and three options of its own.

use std::ffi::OsString;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::config::args::ServerArgs;
use crate::config::error::{EXIT_OK, EXIT_USAGE};
use crate::image::ImageId;

const PROGRAM: &str = "glance-scrubber";

const ABOUT: &str =
    "Removes the data of deleted images that have waited long enough (delayed_delete)";

const AFTER_HELP: &str = "\
Where the work is done:
  While a server has the registry open, this program sends it a command over its admin listener
  (admin_bind_host, admin_bind_port), and the server does the work. Otherwise this program opens
  the registry itself; a server cannot start meanwhile. As a daemon it only sends commands.
  Run it with the server's configuration, as a user who can read registry_dir.

Configuration file:
  The file named on the command line, else the first of glance-scrubber.conf, glance-api.conf
  and glance.conf in the folders ./, ~/.glance/, ~/, /etc/glance/ and /etc/.

Exit codes:
  0   all data that are due were removed, or the image was restored
  1   data could not be removed, the image could not be restored, or the server did not answer
  64  the command line is invalid
  78  the configuration is invalid; the message names file, line and option";

/// The command line of `glance-scrubber`.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct ScrubberArgs {
    /// Options that every program has.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Keep running, with a pass every wakeup time
    #[arg(short = 'D', long)]
    pub daemon: bool,

    /// Time between two passes of a daemon in seconds; overrides wakeup_time
    #[arg(short = 't', long, value_name = "SECONDS", alias = "wakeup_time",
          value_parser = clap::value_parser!(u64).range(1..))]
    wakeup_time: Option<u64>,

    /// Restore this image from pending_delete to active, then exit
    #[arg(short = 'r', long, value_name = "IMAGE_ID", conflicts_with = "daemon")]
    pub restore: Option<ImageId>,
}

impl ScrubberArgs {
    /// Reads the command line of this process. Prints help, version and errors.
    ///
    /// # Errors
    /// Returns the exit code: 0 after help or version, 64 after an error.
    pub fn parse_process_args() -> Result<Self, u8> {
        Self::from_words(std::env::args_os()).map_err(|error| {
            // If standard error is closed, there is no other channel for the message.
            let _ = error.print();
            if error.use_stderr() {
                EXIT_USAGE
            } else {
                EXIT_OK
            }
        })
    }

    fn from_words<I, W>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = W>,
        W: Into<OsString> + Clone,
    {
        let command = Self::command().name(PROGRAM).bin_name(PROGRAM);
        let command = command.about(ABOUT).after_help(AFTER_HELP);
        let mut args = Self::from_arg_matches(&command.try_get_matches_from(words)?)?;
        args.server.program = PROGRAM;
        Ok(args)
    }

    /// Returns the time between two passes, if the command line sets it.
    pub fn wakeup_time(&self) -> Option<Duration> {
        self.wakeup_time.map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<ScrubberArgs, clap::Error> {
        ScrubberArgs::from_words(std::iter::once(&PROGRAM).chain(words))
    }

    #[test]
    fn options_of_glance_are_accepted() {
        ScrubberArgs::command().debug_assert();
        let args = read(&["-D", "-t", "7", "--config-file", "a.conf"]).expect("sound");
        assert!(args.daemon);
        assert_eq!(args.wakeup_time(), Some(Duration::from_secs(7)));
        assert_eq!(args.server.program, PROGRAM);
        let id = "71c675ab-d94f-49cd-a114-e12490b328d9";
        let args = read(&["--restore", id, "a.conf"]).expect("sound");
        assert_eq!(args.restore.map(|id| id.to_string()).as_deref(), Some(id));
        for wrong in [
            &["--restore", id, "--daemon"][..],
            &["--restore", "no-id"],
            &["--wakeup_time", "0"],
        ] {
            assert!(read(wrong).expect_err("wrong").use_stderr(), "{wrong:?}");
        }
    }

    #[test]
    fn help_describes_the_scrubber_alone() {
        let help = read(&["--help"]).expect_err("help is no run").to_string();
        assert!(
            help.contains("glance-scrubber") && help.contains("--restore"),
            "{help}"
        );
        assert!(
            help.contains("As a daemon it only sends commands"),
            "{help}"
        );
        assert!(!help.contains("drain_timeout"), "{help}");
    }
}
