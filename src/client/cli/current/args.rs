//! Arguments of today's commands, as python-glanceclient has them.

use clap::Args;

use crate::client::cli::error::CliResult;
use crate::client::cli::fields::{ImageArguments, parse_bool, split_pair};

#[derive(Debug, Args)]
pub(in crate::client::cli) struct ListArgs {
    /// Only images of this name
    #[arg(long)]
    pub(in crate::client::cli) name: Option<String>,
    /// Only images in this status
    #[arg(long)]
    pub(in crate::client::cli) status: Option<String>,
    /// Only images of this disk format
    #[arg(long, alias = "disk_format")]
    pub(in crate::client::cli) disk_format: Option<String>,
    /// Only images of this container format
    #[arg(long, alias = "container_format")]
    pub(in crate::client::cli) container_format: Option<String>,
    /// Only images of at least so many bytes
    #[arg(long, alias = "size_min", value_name = "BYTES")]
    pub(in crate::client::cli) size_min: Option<u64>,
    /// Only images of at most so many bytes
    #[arg(long, alias = "size_max", value_name = "BYTES")]
    pub(in crate::client::cli) size_max: Option<u64>,
    /// Only images with this property; may be repeated
    #[arg(long, alias = "property_filter", value_name = "KEY=VALUE")]
    pub(in crate::client::cli) property_filter: Vec<String>,
    /// Only public images, or only others
    #[arg(long, alias = "is_public", value_name = "BOOL", value_parser = parse_bool)]
    pub(in crate::client::cli) is_public: Option<bool>,
    /// Also images that are neither public nor yours (administrators)
    #[arg(long, alias = "all_tenants", conflicts_with = "is_public")]
    pub(in crate::client::cli) all_tenants: bool,
    /// Only images of this owner
    #[arg(long)]
    pub(in crate::client::cli) owner: Option<String>,
    /// Images asked for at a time
    #[arg(long, alias = "page_size", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::client::cli) page_size: Option<u32>,
    /// Sizes in KiB, MiB, GiB
    #[arg(long, alias = "human_readable")]
    pub(in crate::client::cli) human_readable: bool,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct ImageNames {
    /// Id, URI or unique name of the image
    #[arg(required = true, value_name = "IMAGE")]
    pub(in crate::client::cli) images: Vec<String>,
}

/// What may be said about an image.
#[derive(Debug, Args)]
pub(in crate::client::cli) struct FieldArgs {
    /// Name of the image
    #[arg(long)]
    name: Option<String>,
    /// Disk format: raw, qcow2, vmdk, vhd, vhdx, vdi, iso, ploop, ami, aki, ari
    #[arg(long, alias = "disk_format")]
    disk_format: Option<String>,
    /// Container format: bare, ovf, ova, docker, ami, aki, ari
    #[arg(long, alias = "container_format")]
    container_format: Option<String>,
    /// File with the data; - is standard input. Without it the data are read from standard input,
    /// unless that is a terminal or closed (<&-), or the image has a --location or --copy-from
    #[arg(long, value_name = "PATH")]
    pub(in crate::client::cli) file: Option<String>,
    /// Size in bytes; known by itself with --file PATH
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// MD5 of the data, for the server to compare
    #[arg(long)]
    checksum: Option<String>,
    /// Tenant that owns the image (administrators)
    #[arg(long)]
    owner: Option<String>,
    /// Whether every tenant may use the image
    #[arg(long, alias = "is_public", value_name = "BOOL", value_parser = parse_bool)]
    is_public: Option<bool>,
    /// Whether the image is safe from deletion
    #[arg(long, alias = "is_protected", value_name = "BOOL", value_parser = parse_bool)]
    is_protected: Option<bool>,
    /// Smallest disk to boot from, GB
    #[arg(
        long,
        alias = "min_disk",
        alias = "min-disk-gigabytes",
        value_name = "GB"
    )]
    min_disk: Option<u32>,
    /// Smallest memory to boot with, MB
    #[arg(
        long,
        alias = "min_ram",
        alias = "min-ram-megabytes",
        value_name = "MB"
    )]
    min_ram: Option<u32>,
    /// A property; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    property: Vec<String>,
    /// Store that is to take the data
    #[arg(long)]
    store: Option<String>,
    /// Where the data are already; they stay there
    #[arg(long, value_name = "URL", conflicts_with_all = ["file", "copy_from"])]
    location: Option<String>,
    /// Where the server is to copy the data from
    #[arg(long, alias = "copy_from", value_name = "URL", conflicts_with = "file")]
    copy_from: Option<String>,
    /// Show a progress bar from the start
    #[arg(long)]
    pub(in crate::client::cli) progress: bool,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct CreateArgs {
    /// Id for the image, a UUID
    #[arg(long)]
    pub(in crate::client::cli) id: Option<String>,
    #[command(flatten)]
    pub(in crate::client::cli) fields: FieldArgs,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct UpdateImageArgs {
    /// Id, URI or unique name of the image
    pub(in crate::client::cli) image: String,
    /// Remove the properties that are not named here
    #[arg(long, alias = "purge_props")]
    pub(in crate::client::cli) purge_props: bool,
    #[command(flatten)]
    pub(in crate::client::cli) fields: FieldArgs,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct DownloadArgs {
    /// Id, URI or unique name of the image
    pub(in crate::client::cli) image: String,
    /// File for the data, which is replaced when they are complete and right; until then they
    /// are in PATH.part, from which a broken download goes on. A new file is its owner's alone.
    /// Without it, or with -, the data go to standard output, if that is no terminal
    #[arg(long, value_name = "PATH")]
    pub(in crate::client::cli) file: Option<String>,
    /// Show a progress bar from the start
    #[arg(long)]
    pub(in crate::client::cli) progress: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::client::cli) struct MemberListArgs {
    /// The tenants of this image
    #[arg(long, alias = "image_id", value_name = "IMAGE")]
    pub(in crate::client::cli) image_id: Option<String>,
    /// The images of this tenant
    #[arg(long, alias = "tenant_id", value_name = "TENANT")]
    pub(in crate::client::cli) tenant_id: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct MemberCreateArgs {
    /// Id, URI or unique name of the image
    pub(in crate::client::cli) image: String,
    /// Tenant
    pub(in crate::client::cli) tenant: String,
}

impl FieldArgs {
    /// Whether the data are at another server.
    pub(in crate::client::cli) fn has_remote_source(&self) -> bool {
        self.location.is_some() || self.copy_from.is_some()
    }

    /// The fields and properties that were given.
    pub(in crate::client::cli) fn typed(&self) -> CliResult<ImageArguments> {
        let mut typed = ImageArguments {
            copy_from: self.copy_from.clone(),
            ..ImageArguments::default()
        };
        let texts = [
            ("name", &self.name),
            ("disk_format", &self.disk_format),
            ("container_format", &self.container_format),
            ("checksum", &self.checksum),
            ("owner", &self.owner),
            ("store", &self.store),
            ("location", &self.location),
        ];
        for (field, value) in texts {
            value.iter().for_each(|value| typed.set(field, value));
        }
        self.size.iter().for_each(|n| typed.set("size", n));
        self.min_disk.iter().for_each(|n| typed.set("min_disk", n));
        self.min_ram.iter().for_each(|n| typed.set("min_ram", n));
        self.is_public
            .iter()
            .for_each(|b| typed.set("is_public", b));
        self.is_protected
            .iter()
            .for_each(|b| typed.set("protected", b));
        for property in &self.property {
            let (key, value) = split_pair(property)?;
            typed.properties.push((key.to_owned(), value.to_owned()));
        }
        Ok(typed)
    }
}
