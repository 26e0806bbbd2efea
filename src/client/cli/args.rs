//! Command-line definition of `glance`: global options and the list of commands. The arguments
//! of single commands are in `current::args` and `v2011::args`.

use clap::{Args, Parser, Subcommand};

use super::cloud::args::CloudOptions;
use super::current::args::MemberCreateArgs;
use super::current::args::{
    CreateArgs, DownloadArgs, ImageNames, ListArgs, MemberListArgs, UpdateImageArgs,
};
use super::v2011::args::{AddArgs, DeleteArgs, FilterArgs, MemberAddArgs, MemberPair, UpdateArgs};
use crate::client::DEFAULT_PORT;

const EXIT_CODES: &str = "\
Exit codes:
  0  success
  1  the server refused the request, or a question was answered with no
  2  usage error; nothing was sent
  3  cannot connect to the server, or the connection was lost
  4  the transfer is incomplete, or the checksum does not match

If standard error is a terminal, it shows a progress bar: from the start with --progress,
otherwise for transfers that take more than two seconds.";

/// Command line of the OpenStack Image service (Glance, v1 API).
///
/// The commands image-… and member-… are those of current clients; index, details, show, add,
/// update, delete, clear and the member commands below them are those of the client of 2011.
#[derive(Debug, Parser)]
#[command(name = "glance", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) options: GlobalOptions,
}

/// Options of every command; accepted before and after the command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalOptions {
    /// URL of the Image service, such as http://HOST:9292; without it and with a login, the
    /// URL comes from Keystone's catalogue [env: OS_IMAGE_URL, GLANCE_URL]
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
    /// Token for the Image service; with its URL no login is made [env: OS_AUTH_TOKEN]
    #[arg(short = 'A', long = "os-auth-token", aliases = ["os_auth_token", "auth_token"])]
    #[arg(visible_alias = "auth-token", global = true, value_name = "TOKEN")]
    pub(super) token: Option<String>,
    /// Version of the Image API; this client supports 1
    #[arg(
        long,
        alias = "os_image_api_version",
        global = true,
        value_name = "VERSION"
    )]
    pub(super) os_image_api_version: Option<String>,
    /// Seconds without progress after which a request fails
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) timeout: u64,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Log requests and responses to standard error
    #[arg(
        short = 'v',
        long,
        global = true,
        visible_short_alias = 'd',
        visible_alias = "debug"
    )]
    pub(super) verbose: bool,
    #[command(flatten)]
    pub(super) cloud: CloudOptions,
    #[command(flatten)]
    pub(super) list: ListOrder,
    #[command(flatten)]
    pub(super) v2011: V2011Options,
}

/// Limits and sort order of lists.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lists")]
pub(super) struct ListOrder {
    /// image-list: maximum number of images; index, details: images per page
    #[arg(long, global = true, value_name = "N")]
    pub(super) limit: Option<u32>,
    /// Start after the image with this ID
    #[arg(long, global = true, value_name = "ID")]
    pub(super) marker: Option<String>,
    /// Sort by this field
    #[arg(long, alias = "sort_key", global = true, value_name = "FIELD")]
    pub(super) sort_key: Option<String>,
    /// Sort direction
    #[arg(long, alias = "sort_dir", global = true, value_parser = ["asc", "desc"])]
    pub(super) sort_dir: Option<String>,
}

/// Options of the commands of 2011.
#[derive(Debug, Args)]
#[command(next_help_heading = "Commands of 2011")]
pub(super) struct V2011Options {
    /// Do not ask for confirmation
    #[arg(short = 'f', long, global = true)]
    pub(super) force: bool,
    /// Print what would be done and do nothing
    #[arg(long, alias = "dry_run", global = true)]
    pub(super) dry_run: bool,
    /// Allow the member to share the image further
    #[arg(long, alias = "can_share", global = true)]
    pub(super) can_share: bool,
    /// Do not show a progress bar
    #[arg(long, alias = "silent_upload", global = true)]
    pub(super) silent_upload: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List images
    ImageList(ListArgs),
    /// Show an image
    ImageShow(ImageNames),
    /// Create an image, with data (--file) or without
    ImageCreate(CreateArgs),
    /// Update an image, or upload the data of a queued one
    ImageUpdate(UpdateImageArgs),
    /// Download an image and verify its checksum
    ImageDownload(DownloadArgs),
    /// Delete images
    ImageDelete(ImageNames),
    /// List the members of an image, or the images shared with a tenant
    MemberList(MemberListArgs),
    /// Share an image with a tenant
    MemberCreate(MemberCreateArgs),
    /// Stop sharing an image with a tenant
    MemberDelete(MemberPair),
    /// (2011) List images, one line each
    Index(FilterArgs),
    /// (2011) List images with all fields
    Details(FilterArgs),
    /// (2011) Show an image
    Show(super::v2011::args::ImageId),
    /// (2011) Create an image: add name=NAME field=value... < FILE
    Add(AddArgs),
    /// (2011) Update an image; properties that are not named are removed
    Update(UpdateArgs),
    /// (2011) Delete an image
    Delete(DeleteArgs),
    /// (2011) Delete all images that index lists
    Clear,
    /// (2011) List the members of an image
    ImageMembers(super::v2011::args::ImageId),
    /// (2011) List the images shared with a tenant
    MemberImages(super::v2011::args::MemberId),
    /// (2011) Share an image with a tenant
    MemberAdd(MemberAddArgs),
    /// (2011) Share an image with one tenant and remove all other members
    MembersReplace(MemberAddArgs),
}

/// Host used when neither options nor environment name a server.
pub(super) const DEFAULT_HOST: &str = "127.0.0.1";
/// Port used with [`DEFAULT_HOST`].
pub(super) const DEFAULT_SERVER_PORT: u16 = DEFAULT_PORT;
