//! The rules of the image API.

use crate::config::declare::options;
use crate::config::value_types::{Flag, Int, Limit, StorageQuota, Words};

options! {
    /// Limits and formats of images and lists.
    pub struct ImagesConfig, "DEFAULT", "Images";

    /// Whether the v1 API is served.
    enable_v1_api: bool = "true", Flag;
    /// Largest image, counted in bytes as they arrive; more is answered with 413.
    image_size_cap: u64 = "1099511627776", Int::<u64>::new(1, i64::MAX as u64, "bytes");
    /// Properties of one image; more is answered with 413.
    image_property_quota: Option<u64> = "128", Limit;
    /// Members of one image; more is answered with 413.
    image_member_quota: Option<u64> = "128", Limit;
    /// Bytes that the images of one tenant may take up, those being uploaded and those being removed included; more is
    /// answered with 413, before the body is read where its length is known. Images without an owner count together.
    user_storage_quota: Option<u64> = "0", StorageQuota;
    /// Images that one tenant may have, whatever their status until they are deleted; more is answered with 413.
    user_image_quota: Option<u64> = "-1", Limit;
    /// Images in one list when the request has no limit.
    limit_param_default: usize = "25", Int::<usize>::new(1, 1_000_000, "");
    /// Images in one list whatever the request asks for.
    api_limit_max: usize = "1000", Int::<usize>::new(1, 1_000_000, "");
    /// Container formats that are accepted, in this spelling.
    container_formats: Vec<String> = "ami,ari,aki,bare,ovf,ova,docker", Words, also [
        ("image_format", "container_formats"),
    ];
    /// Disk formats that are accepted, in this spelling.
    disk_formats: Vec<String> = "ami,ari,aki,vhd,vhdx,vmdk,raw,qcow2,vdi,iso,ploop", Words, also [
        ("image_format", "disk_formats"),
    ];
}
