//! The command line of `glance-scrubber`.

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
  While a node has the registry open, it is asked over its operator's listener (admin_bind_host,
  admin_bind_port) and does the work itself. Else this program opens the registry and does it;
  a node that is started meanwhile cannot open it. As a daemon it only ever asks.
  It must read the node's configuration, and may do so as whoever can read registry_dir.

Configuration file:
  The one named here, else the first that is found in ./, ~/.glance/, ~/, /etc/glance/, /etc/:
  in each glance-scrubber.conf is looked for, then glance-api.conf, then glance.conf.

Exit codes:
  0   nothing is left to be done now
  1   something could not be removed or restored, or nobody could be asked
  64  the command line is wrong
  78  the configuration is wrong; the message names file, line and option";

/// What can be said on the command line of `glance-scrubber`.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct ScrubberArgs {
    /// What every program takes.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Go on until ended, with a round every wakeup time
    #[arg(short = 'D', long)]
    pub daemon: bool,

    /// Time between two rounds of a daemon, in seconds, instead of the configured one
    #[arg(short = 't', long, value_name = "SECONDS", alias = "wakeup_time",
          value_parser = clap::value_parser!(u64).range(1..))]
    wakeup_time: Option<u64>,

    /// Bring this image back from pending_delete to active, and do nothing else
    #[arg(short = 'r', long, value_name = "IMAGE_ID", conflicts_with = "daemon")]
    pub restore: Option<ImageId>,
}

impl ScrubberArgs {
    /// Reads the command line of this process. Help, version and complaints are printed here.
    ///
    /// # Errors
    /// The exit code to end with: 0 after help and version, 64 after a complaint.
    pub fn of_process() -> Result<Self, u8> {
        Self::from_words(std::env::args_os()).map_err(|error| {
            // Nothing is left to tell anybody when this fails.
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

    /// Time between two rounds, if the command line says it.
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
    fn the_flags_of_glance() {
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
    fn help_is_its_own() {
        let help = read(&["--help"]).expect_err("help is no run").to_string();
        assert!(
            help.contains("glance-scrubber") && help.contains("--restore"),
            "{help}"
        );
        assert!(help.contains("As a daemon it only ever asks"), "{help}");
        assert!(!help.contains("drain_timeout"), "{help}");
    }
}
