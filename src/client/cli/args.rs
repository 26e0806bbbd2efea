//! The options and commands of the program.

use clap::{Args, Parser, Subcommand};

use super::current::args::MemberCreateArgs;
use super::current::args::{
    CreateArgs, DownloadArgs, ImageNames, ListArgs, MemberListArgs, UpdateImageArgs,
};
use super::v2011::args::{AddArgs, DeleteArgs, FilterArgs, MemberAddArgs, MemberPair, UpdateArgs};
use crate::client::DEFAULT_PORT;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the server refused, or the answer to a question was no
  2  the command line is wrong; nothing was sent
  3  no connection to the server, or the connection was lost
  4  a transfer is incomplete, or its checksum is wrong

A progress bar is shown on standard error where that is a terminal: with --progress at once,
else when a transfer takes more than two seconds.";

/// Command line of the OpenStack Image service (Glance, v1 API).
///
/// The commands image-… and member-… are those of today's client; index, details, show, add,
/// update, delete, clear and the member commands below them are those of the client of 2011.
#[derive(Debug, Parser)]
#[command(name = "glance", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) options: GlobalOptions,
}

/// Options of every command; they may stand before it or after it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct GlobalOptions {
    /// Address of the server, as in http://HOST:9292 [env: OS_IMAGE_URL, GLANCE_URL]
    #[arg(
        short = 'U',
        long = "os-image-url",
        alias = "os_image_url",
        visible_alias = "url"
    )]
    #[arg(global = true, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Host of the server [default: 127.0.0.1]
    #[arg(short = 'H', long, global = true)]
    pub(super) host: Option<String>,
    /// Port of the server [default: 9292]
    #[arg(short = 'p', long, global = true)]
    pub(super) port: Option<u16>,
    /// Token that tells who is asking [env: OS_AUTH_TOKEN]
    #[arg(short = 'A', long = "os-auth-token", aliases = ["os_auth_token", "auth_token"])]
    #[arg(visible_alias = "auth-token", global = true, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// Version of the Image API; this client speaks 1
    #[arg(
        long,
        alias = "os_image_api_version",
        global = true,
        value_name = "VERSION"
    )]
    pub(super) os_image_api_version: Option<String>,
    /// Seconds without any progress after which a request is given up
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) timeout: u64,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Tell on standard error what is asked and answered
    #[arg(
        short = 'v',
        long,
        global = true,
        visible_short_alias = 'd',
        visible_alias = "debug"
    )]
    pub(super) verbose: bool,
    #[command(flatten)]
    pub(super) list: ListOrder,
    #[command(flatten)]
    pub(super) v2011: V2011Options,
}

/// How lists are cut and sorted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lists")]
pub(super) struct ListOrder {
    /// image-list: images in all; index, details: images a page
    #[arg(long, global = true, value_name = "N")]
    pub(super) limit: Option<u32>,
    /// Begin after the image of this id
    #[arg(long, global = true, value_name = "ID")]
    pub(super) marker: Option<String>,
    /// Sort by this field
    #[arg(long, alias = "sort_key", global = true, value_name = "FIELD")]
    pub(super) sort_key: Option<String>,
    /// Sort upwards or downwards
    #[arg(long, alias = "sort_dir", global = true, value_parser = ["asc", "desc"])]
    pub(super) sort_dir: Option<String>,
}

/// Options of the commands of 2011.
#[derive(Debug, Args)]
#[command(next_help_heading = "Commands of 2011")]
pub(super) struct V2011Options {
    /// Do what is asked without asking back
    #[arg(short = 'f', long, global = true)]
    pub(super) force: bool,
    /// Tell what would be done, and do nothing
    #[arg(long, alias = "dry_run", global = true)]
    pub(super) dry_run: bool,
    /// Let the member share the image further
    #[arg(long, alias = "can_share", global = true)]
    pub(super) can_share: bool,
    /// Show no progress bar
    #[arg(long, alias = "silent_upload", global = true)]
    pub(super) silent_upload: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List images
    ImageList(ListArgs),
    /// Show an image
    ImageShow(ImageNames),
    /// Register an image, with its data (--file) or without
    ImageCreate(CreateArgs),
    /// Change an image, or give a reserved one its data
    ImageUpdate(UpdateImageArgs),
    /// Download an image, checking it
    ImageDownload(DownloadArgs),
    /// Delete images
    ImageDelete(ImageNames),
    /// List the tenants of an image, or the images of a tenant
    MemberList(MemberListArgs),
    /// Share an image with a tenant
    MemberCreate(MemberCreateArgs),
    /// Stop sharing an image with a tenant
    MemberDelete(MemberPair),
    /// (2011) List images in short
    Index(FilterArgs),
    /// (2011) List images in full
    Details(FilterArgs),
    /// (2011) Show an image
    Show(super::v2011::args::ImageId),
    /// (2011) Register an image: add name=NAME field=value... < FILE
    Add(AddArgs),
    /// (2011) Change an image; properties that are not named are removed
    Update(UpdateArgs),
    /// (2011) Delete an image
    Delete(DeleteArgs),
    /// (2011) Delete every image that index lists
    Clear,
    /// (2011) List the tenants an image is shared with
    ImageMembers(super::v2011::args::ImageId),
    /// (2011) List the images that are shared with a tenant
    MemberImages(super::v2011::args::MemberId),
    /// (2011) Share an image with a tenant
    MemberAdd(MemberAddArgs),
    /// (2011) Share an image with one tenant and no other
    MembersReplace(MemberAddArgs),
}

/// The server without any option.
pub(super) const DEFAULT_HOST: &str = "127.0.0.1";
/// See [`DEFAULT_HOST`].
pub(super) const DEFAULT_SERVER_PORT: u16 = DEFAULT_PORT;
