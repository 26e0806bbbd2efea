//! The command line of `glance-manage`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::legacy::store_folder;
use crate::config::{EXIT_OK, EXIT_USAGE};

const AFTER_HELP: &str = "\
Run it as the user that the node runs as: files that it makes have to be that user's.

An embedded registry can be open in one process only: stop the node for import, load-legacy, purge
and check --repair. export and check read the journal of one that runs. Registries that are shared
(remote, etcd) are used beside their servers.

A dump holds everything the registry knows, keys in locations too. Its file is made for its
owner's eyes alone (mode 0600): keep it so.

Exit codes:
  0   done; check: nothing is wrong, or all of it was repaired
  1   not done, or not all of it; what was done stays done, and the command can be run again
  2   check: something is wrong; load-legacy: something could not be taken over
  64  the command line is wrong
  78  the configuration is wrong";

/// What can be said on the command line.
#[derive(Debug, Parser)]
#[command(name = "glance-manage", version, after_help = AFTER_HELP, max_term_width = 100,
          about = "Dumps, loads and checks an image registry, and takes over one of Glance")]
pub(super) struct Args {
    /// Configuration file of the node [default: as glance-api finds it]
    #[arg(long, value_name = "PATH", alias = "config_file", global = true)]
    pub(super) config_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write everything that the registry knows into a file
    Export {
        /// File to write
        file: PathBuf,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// Load a dump into the registry
    Import {
        /// File to read
        file: PathBuf,
        #[command(flatten)]
        load: Load,
    },
    /// Compare the registry with the stores: images without their data, data without an image
    Check(Check),
    /// Forget images that were deleted long ago, as Glance's db purge does: lists with
    /// changes-since show them no more, and their identifiers can be taken again
    Purge(Purge),
    /// Load the SQL registry of a Glance that is stopped (for programs built with legacy-sql)
    LoadLegacy(LoadLegacy),
}

#[derive(Debug, ClapArgs)]
pub(super) struct LoadLegacy {
    /// URL of its database as its configuration has it ([database] connection): sqlite:PATH,
    /// mysql://USER:PASSWORD@HOST/NAME, postgresql://…; - reads it from standard input, so that
    /// nobody sees the password
    pub(super) url: String,
    /// File with the metadata_encryption_key of that Glance, if it had one
    #[arg(long, value_name = "PATH")]
    pub(super) encryption_key_file: Option<PathBuf>,
    /// Folder in which the files of the old Glance's store ID are now (enabled_backends = ID:file);
    /// may be repeated. The node reads those in its filesystem_store_datadir
    #[arg(long, value_name = "ID=PATH", value_parser = store_folder)]
    pub(super) store_folder: Vec<(String, PathBuf)>,
    /// End with 0 though something cannot be taken over
    #[arg(long)]
    pub(super) allow_losses: bool,
    #[command(flatten)]
    pub(super) load: Load,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Purge {
    /// Age in seconds, since the deletion, from which on an image is forgotten
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 86_400)]
    pub(super) older_than: u64,
    /// Most images that are forgotten, those that were deleted first
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_images: Option<usize>,
    /// Say how many would be forgotten, and forget nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Check {
    /// Mend what is found; without words orphans and uploads
    #[arg(long, value_name = "WHAT", value_delimiter = ',', num_args = 0.., require_equals = true,
          default_missing_values = ["orphans", "uploads"])]
    pub(super) repair: Vec<Repair>,
    /// Age in seconds from which on data without an image are orphans, and uploads that have not
    /// ended are given up
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    pub(super) older_than: u64,
    /// Read the data of every image and compare them with their checksum
    #[arg(long)]
    pub(super) data: bool,
    /// Print one JSON object a finding, and one of numbers at the end
    #[arg(long)]
    pub(super) json: bool,
}

/// What a check mends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Repair {
    /// Data that no image has are removed
    Orphans,
    /// Images whose upload will never end are killed; what is left of it is removed
    Uploads,
    /// Active images without their data are deactivated, which no request undoes
    Images,
}

#[derive(Debug, Clone, Copy, ClapArgs)]
pub(super) struct Load {
    /// Load into a registry that has images of its own; what becomes of those that it has, and
    /// otherwise. Without this it must be empty, or have nothing but images that are loaded
    #[arg(long, value_name = "POLICY")]
    pub(super) merge: Option<Merge>,
    /// Say what would be done, and load nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// What becomes of an image that the registry has already, and otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Merge {
    /// Nothing is loaded when there is one
    Stop,
    /// The registry's stays
    Skip,
    /// The loaded one takes its place
    Replace,
    /// The one that was changed last stays
    Newer,
}

impl Args {
    /// Reads the command line of this process. Help, version and complaints are printed here.
    ///
    /// # Errors
    /// The exit code to end with.
    pub(super) fn of_process() -> Result<Self, u8> {
        Self::try_parse().map_err(|error| {
            // Nothing is left to tell anybody when this fails.
            let _ = error.print();
            if error.use_stderr() {
                EXIT_USAGE
            } else {
                EXIT_OK
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn read(words: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(words.split(' '))
    }

    #[test]
    fn the_commands() {
        Args::command().debug_assert();
        read("glance-manage export x --force --config-file a.conf").unwrap();
        let args = read("glance-manage import x --merge newer").unwrap();
        let Command::Import { load, .. } = args.command else {
            panic!("{args:?}");
        };
        assert_eq!(load.merge, Some(Merge::Newer));
        assert!(read("glance-manage import x --merge maybe").is_err());
        read("glance-manage load-legacy - --merge skip --allow-losses --dry-run").unwrap();
        read("glance-manage load-legacy - --store-folder a=/a --store-folder b=/b").unwrap();
        assert!(read("glance-manage load-legacy - --store-folder a").is_err());
        for (words, repair) in [
            ("", &[][..]),
            (" --repair --json", &[Repair::Orphans, Repair::Uploads]),
            (
                " --repair=images,orphans",
                &[Repair::Images, Repair::Orphans],
            ),
        ] {
            let args = read(&format!("glance-manage check --older-than 0{words}")).unwrap();
            let Command::Check(check) = args.command else {
                panic!("{args:?}");
            };
            assert_eq!(check.repair, repair);
        }
    }
}
