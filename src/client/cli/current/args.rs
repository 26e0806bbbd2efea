//! Arguments of the current commands, with the names of python-glanceclient v1 (both `--disk-format`
//! and `--disk_format` are accepted).

use clap::Args;

use crate::client::cli::error::CliResult;
use crate::client::cli::fields::{ImageArguments, parse_bool, split_pair};

#[derive(Debug, Args)]
pub(in crate::client::cli) struct ListArgs {
    /// Only images with this name
    #[arg(long)]
    pub(in crate::client::cli) name: Option<String>,
    /// Only images with this status
    #[arg(long)]
    pub(in crate::client::cli) status: Option<String>,
    /// Only images with this disk format
    #[arg(long, alias = "disk_format")]
    pub(in crate::client::cli) disk_format: Option<String>,
    /// Only images with this container format
    #[arg(long, alias = "container_format")]
    pub(in crate::client::cli) container_format: Option<String>,
    /// Only images of at least this size
    #[arg(long, alias = "size_min", value_name = "BYTES")]
    pub(in crate::client::cli) size_min: Option<u64>,
    /// Only images of at most this size
    #[arg(long, alias = "size_max", value_name = "BYTES")]
    pub(in crate::client::cli) size_max: Option<u64>,
    /// Only images with this property; repeatable
    #[arg(long, alias = "property_filter", value_name = "KEY=VALUE")]
    pub(in crate::client::cli) property_filter: Vec<String>,
    /// Only public images (True) or only non-public images (False)
    #[arg(long, alias = "is_public", value_name = "BOOL", value_parser = parse_bool)]
    pub(in crate::client::cli) is_public: Option<bool>,
    /// Images of all tenants (administrators)
    #[arg(long, alias = "all_tenants", conflicts_with = "is_public")]
    pub(in crate::client::cli) all_tenants: bool,
    /// Only images of this owner
    #[arg(long)]
    pub(in crate::client::cli) owner: Option<String>,
    /// Images per request
    #[arg(long, alias = "page_size", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::client::cli) page_size: Option<u32>,
    /// Print sizes in KiB, MiB, GiB
    #[arg(long, alias = "human_readable")]
    pub(in crate::client::cli) human_readable: bool,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct ImageNames {
    /// ID, URI or unique name of the image
    #[arg(required = true, value_name = "IMAGE")]
    pub(in crate::client::cli) images: Vec<String>,
}

/// Fields of an image, common to image-create and image-update.
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
    /// File with the data; - is standard input. Without this option the data are read from
    /// standard input, unless it is a terminal or closed (<&-) or --location or --copy-from is
    /// given
    #[arg(long, value_name = "PATH")]
    pub(in crate::client::cli) file: Option<String>,
    /// Size in bytes; determined automatically with --file PATH
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// MD5 of the data, which the server verifies
    #[arg(long)]
    checksum: Option<String>,
    /// Tenant that owns the image (administrators)
    #[arg(long)]
    owner: Option<String>,
    /// Make the image accessible to all tenants
    #[arg(long, alias = "is_public", value_name = "BOOL", value_parser = parse_bool)]
    is_public: Option<bool>,
    /// Protect the image from deletion
    #[arg(long, alias = "is_protected", value_name = "BOOL", value_parser = parse_bool)]
    is_protected: Option<bool>,
    /// Minimum disk size to boot the image, in GB
    #[arg(
        long,
        alias = "min_disk",
        alias = "min-disk-gigabytes",
        value_name = "GB"
    )]
    min_disk: Option<u32>,
    /// Minimum memory to boot the image, in MB
    #[arg(
        long,
        alias = "min_ram",
        alias = "min-ram-megabytes",
        value_name = "MB"
    )]
    min_ram: Option<u32>,
    /// Property of the image; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    property: Vec<String>,
    /// Store for the data
    #[arg(long)]
    store: Option<String>,
    /// URL of existing data, which stay where they are
    #[arg(long, value_name = "URL", conflicts_with_all = ["file", "copy_from"])]
    location: Option<String>,
    /// URL from which the server copies the data
    #[arg(long, alias = "copy_from", value_name = "URL", conflicts_with = "file")]
    copy_from: Option<String>,
    /// Show a progress bar immediately
    #[arg(long)]
    pub(in crate::client::cli) progress: bool,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct CreateArgs {
    /// ID for the image, a UUID
    #[arg(long)]
    pub(in crate::client::cli) id: Option<String>,
    #[command(flatten)]
    pub(in crate::client::cli) fields: FieldArgs,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct UpdateImageArgs {
    /// ID, URI or unique name of the image
    pub(in crate::client::cli) image: String,
    /// Remove all properties that are not given
    #[arg(long, alias = "purge_props")]
    pub(in crate::client::cli) purge_props: bool,
    #[command(flatten)]
    pub(in crate::client::cli) fields: FieldArgs,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct DownloadArgs {
    /// ID, URI or unique name of the image
    pub(in crate::client::cli) image: String,
    /// File for the data. The data are written to PATH.part, from which an interrupted download
    /// resumes, and replace PATH once they are complete and verified. A new file is readable by
    /// its owner only. Without this option, or with -, the data go to standard output, unless it
    /// is a terminal
    #[arg(long, value_name = "PATH")]
    pub(in crate::client::cli) file: Option<String>,
    /// Show a progress bar immediately
    #[arg(long)]
    pub(in crate::client::cli) progress: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(in crate::client::cli) struct MemberListArgs {
    /// List the members of this image
    #[arg(long, alias = "image_id", value_name = "IMAGE")]
    pub(in crate::client::cli) image_id: Option<String>,
    /// List the images shared with this tenant
    #[arg(long, alias = "tenant_id", value_name = "TENANT")]
    pub(in crate::client::cli) tenant_id: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct MemberCreateArgs {
    /// ID, URI or unique name of the image
    pub(in crate::client::cli) image: String,
    /// ID of the tenant
    pub(in crate::client::cli) tenant: String,
}

impl FieldArgs {
    /// Returns true if the data are on another server (`--location`, `--copy-from`).
    pub(in crate::client::cli) fn has_remote_source(&self) -> bool {
        self.location.is_some() || self.copy_from.is_some()
    }

    /// Collects the given fields and properties.
    ///
    /// # Errors
    /// [`CliError::Usage`](crate::client::cli::error::CliError::Usage) if a property has no `=`.
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
