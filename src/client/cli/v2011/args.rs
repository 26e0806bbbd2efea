//! Arguments of the commands of 2011.

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::client::cli) struct FilterArgs {
    /// Conditions: name, status, size_min..., or a property
    #[arg(value_name = "FIELD=VALUE")]
    pub(in crate::client::cli) filters: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct ImageId {
    /// Id or URI of the image
    #[arg(value_name = "ID")]
    pub(in crate::client::cli) image: String,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct MemberId {
    /// Tenant
    pub(in crate::client::cli) member: String,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct AddArgs {
    /// name, disk_format (else raw), container_format (else ovf), is_public, protected, id,
    /// owner, min_disk, min_ram, size, checksum, store, location, copy_from; anything else is
    /// a property. Without location and copy_from the data are read from standard input, if
    /// that is a file, a pipe with data, a socket or a block device
    #[arg(value_name = "FIELD=VALUE", required = true)]
    pub(in crate::client::cli) fields: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct UpdateArgs {
    /// Id or URI of the image
    #[arg(value_name = "ID")]
    pub(in crate::client::cli) image: String,
    /// As for add
    #[arg(value_name = "FIELD=VALUE")]
    pub(in crate::client::cli) fields: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct DeleteArgs {
    /// Id or URI of the image
    #[arg(value_name = "ID")]
    pub(in crate::client::cli) image: String,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct MemberPair {
    /// Image
    pub(in crate::client::cli) image: String,
    /// Tenant
    pub(in crate::client::cli) member: String,
}

#[derive(Debug, Args)]
pub(in crate::client::cli) struct MemberAddArgs {
    /// Id or URI of the image
    #[arg(value_name = "ID")]
    pub(in crate::client::cli) image: String,
    /// Tenant
    pub(in crate::client::cli) member: String,
}
