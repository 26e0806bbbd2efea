//! Arguments of the commands of 2011.

use clap::Args;

#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Conditions: name, status, size_min..., or a property
    #[arg(value_name = "FIELD=VALUE")]
    pub(super) filters: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ImageId {
    /// Id or URI of the image
    #[arg(value_name = "ID")]
    pub(super) image: String,
}

#[derive(Debug, Args)]
pub(super) struct MemberId {
    /// Tenant
    pub(super) member: String,
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// name, disk_format (else raw), container_format (else ovf), is_public, protected, id,
    /// owner, min_disk, min_ram, size, checksum, store, location, copy_from; anything else is
    /// a property. Without location and copy_from the data are read from standard input, if
    /// that is a file, a pipe with data, a socket or a block device
    #[arg(value_name = "FIELD=VALUE", required = true)]
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// Id or URI of the image
    #[arg(value_name = "ID")]
    pub(super) image: String,
    /// As for add
    #[arg(value_name = "FIELD=VALUE")]
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Id or URI of the image
    #[arg(value_name = "ID")]
    pub(super) image: String,
}

#[derive(Debug, Args)]
pub(super) struct MemberPair {
    /// Image
    pub(super) image: String,
    /// Tenant
    pub(super) member: String,
}

#[derive(Debug, Args)]
pub(super) struct MemberAddArgs {
    /// Id or URI of the image
    #[arg(value_name = "ID")]
    pub(super) image: String,
    /// Tenant
    pub(super) member: String,
}
