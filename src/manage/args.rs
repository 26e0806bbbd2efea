//! The command line of `glance-manage`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use super::legacy::store_folder;
use crate::config::{EXIT_OK, EXIT_USAGE};

const AFTER_HELP: &str = "\
Run it as the user of the server, because the server must be able to read the files it creates.

Only one process can have an embedded registry open: stop the server for import, load-legacy, purge
and check --repair. export and check read the journal while the server runs. Shared registries
(remote, etcd) can be used while their servers run.

A dump contains the whole registry, including credentials in locations. Its file is created with
mode 0600: keep it private.

Exit codes:
  0   success; check: no findings, or all were repaired
  1   failure, possibly after a part of the work; the command can be run again
  2   check: findings remain; load-legacy: some data could not be imported
  64  the command line is wrong
  78  the configuration is wrong";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "glance-manage", version, after_help = AFTER_HELP, max_term_width = 100,
          about = "Exports, imports and checks an image registry, and imports one of Glance")]
pub(super) struct Args {
    /// Configuration file of the server [default: the one that glance-api finds]
    #[arg(long, value_name = "PATH", alias = "config_file", global = true)]
    pub(super) config_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the whole registry to a file
    Export {
        /// File to write
        file: PathBuf,
        /// Replace the file if it exists
        #[arg(long)]
        force: bool,
    },
    /// Import a dump into the registry
    Import {
        /// File to read
        file: PathBuf,
        #[command(flatten)]
        load: Load,
    },
    /// Compare the registry with the stores: find images without data and data without an image
    Check(Check),
    /// Remove the records of images that were deleted long ago, as Glance's db purge does: they
    /// disappear from lists with changes-since, and their identifiers can be used again
    Purge(Purge),
    /// Import the SQL registry of a stopped Glance (requires a build with the feature legacy-sql)
    LoadLegacy(LoadLegacy),
}

#[derive(Debug, ClapArgs)]
pub(super) struct LoadLegacy {
    /// URL of its database, as in its configuration ([database] connection): sqlite:PATH,
    /// mysql://USER:PASSWORD@HOST/NAME, postgresql://…; - reads the URL from standard input, which
    /// keeps the password out of the list of processes
    pub(super) url: String,
    /// File with the metadata_encryption_key of that Glance, if it had one
    #[arg(long, value_name = "PATH")]
    pub(super) encryption_key_file: Option<PathBuf>,
    /// Folder that now contains the files of the old Glance's store ID (enabled_backends = ID:file);
    /// may be repeated. Not needed for files in the server's filesystem_store_datadir
    #[arg(long, value_name = "ID=PATH", value_parser = store_folder)]
    pub(super) store_folder: Vec<(String, PathBuf)>,
    /// Exit with 0 even if some data cannot be imported
    #[arg(long)]
    pub(super) allow_losses: bool,
    #[command(flatten)]
    pub(super) load: Load,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Purge {
    /// Minimum age in seconds since the deletion
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 86_400)]
    pub(super) older_than: u64,
    /// Maximum number of images to remove, in the order of their deletion
    #[arg(long, value_name = "NUMBER")]
    pub(super) max_images: Option<usize>,
    /// Print how many records would be removed, and remove none
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Check {
    /// Repair findings of these kinds; without a value: orphans,uploads
    #[arg(long, value_name = "WHAT", value_delimiter = ',', num_args = 0.., require_equals = true,
          default_missing_values = ["orphans", "uploads"])]
    pub(super) repair: Vec<Repair>,
    /// Minimum age in seconds of data without an image and of unfinished uploads that are reported
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    pub(super) older_than: u64,
    /// Read the data of every image and verify their checksums
    #[arg(long)]
    pub(super) data: bool,
    /// Print a JSON object for each finding and a final one with totals
    #[arg(long)]
    pub(super) json: bool,
}

/// The kinds of findings that a check can repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Repair {
    /// Remove data that belong to no image
    Orphans,
    /// Kill images whose upload was abandoned, and remove its data
    Uploads,
    /// Deactivate active images whose data are missing (requests cannot undo this)
    Images,
}

#[derive(Debug, Clone, Copy, ClapArgs)]
pub(super) struct Load {
    /// Import into a registry that has other images, and treat images that differ by this policy.
    /// Without this option the registry must be empty or contain only images of the import
    #[arg(long, value_name = "POLICY")]
    pub(super) merge: Option<Merge>,
    /// Print what would be done, and import nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// The policy for an image that the registry already has with different content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Merge {
    /// Import nothing if there is such an image
    Stop,
    /// Keep the image of the registry
    Skip,
    /// Replace it by the imported image
    Replace,
    /// Keep the one with the later modification
    Newer,
}

impl Args {
    /// Reads the command line of this process. Prints help, version and errors.
    ///
    /// # Errors
    /// The exit code to end with.
    pub(super) fn of_process() -> Result<Self, u8> {
        Self::try_parse().map_err(|error| {
            // If this fails, the exit code is the only report.
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
    fn commands_are_parsed() {
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
