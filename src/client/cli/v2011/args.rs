//! Arguments of the commands of 2011, as documented for Glance's `bin/glance` of that year.

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::client::cli) struct FilterArgs {
    /// Filters: name, status, size_min..., or a property
    #[arg(value_name = "FIELD=VALUE")]
    pub(in crate::client::cli) filters: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct ImageId {
    /// ID or URI of the image
    #[arg(value_name = "ID")]
    pub(in crate::client::cli) image: String,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct MemberId {
    /// ID of the tenant
    pub(in crate::client::cli) member: String,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct AddArgs {
    /// name, disk_format (default raw), container_format (default ovf), is_public, protected,
    /// id, owner, min_disk, min_ram, size, checksum, store, location, copy_from; other names are
    /// properties. Without location and copy_from the data are read from standard input if it is
    /// a file, a pipe with data, a socket or a block device
    #[arg(value_name = "FIELD=VALUE", required = true)]
    pub(in crate::client::cli) fields: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct UpdateArgs {
    /// ID or URI of the image
    #[arg(value_name = "ID")]
    pub(in crate::client::cli) image: String,
    /// Fields and properties, as for add
    #[arg(value_name = "FIELD=VALUE")]
    pub(in crate::client::cli) fields: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct DeleteArgs {
    /// ID or URI of the image
    #[arg(value_name = "ID")]
    pub(in crate::client::cli) image: String,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct MemberPair {
    /// ID, URI or unique name of the image
    pub(in crate::client::cli) image: String,
    /// ID of the tenant
    pub(in crate::client::cli) member: String,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct MemberAddArgs {
    /// ID or URI of the image
    #[arg(value_name = "ID")]
    pub(in crate::client::cli) image: String,
    /// ID of the tenant
    pub(in crate::client::cli) member: String,
}
