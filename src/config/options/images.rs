//! Options that limit images and lists.

use crate::config::declare::options;
use crate::config::value_types::{Flag, Int, Limit, StorageQuota, Words};

options! {
    /// Limits, quotas and formats of images, and page sizes of lists.
    pub struct ImagesConfig, "DEFAULT", "Images";

    /// Serves the v1 API. This release has no other version, so turning it off leaves no image
    /// API.
    enable_v1_api: bool = "true", Flag;
    /// Largest image, counted while its bytes arrive, so that it also bounds bodies of unknown
    /// length. Larger images are answered with 413. The default, 1 TiB, is that of Glance; lower
    /// it to what your hypervisors can start.
    image_size_cap: u64 = "1099511627776", Int::<u64>::new(1, i64::MAX as u64, "bytes");
    /// Largest number of properties of one image. Requests for more are answered with 413. The
    /// default is that of Glance.
    image_property_quota: Option<u64> = "128", Limit;
    /// Largest number of members of one image. Requests for more are answered with 413. The
    /// default is that of Glance.
    image_member_quota: Option<u64> = "128", Limit;
    /// Largest total size of one tenant's images, including images that are being uploaded or
    /// removed. Requests for more are answered with 413, before the body is read where its length
    /// is known. Images without an owner share one quota.
    user_storage_quota: Option<u64> = "0", StorageQuota;
    /// Largest number of images of one tenant; an image counts in every status until it is
    /// deleted. Requests for more are answered with 413. Set it to keep a tenant from filling the
    /// registry with records.
    user_image_quota: Option<u64> = "-1", Limit;
    /// Images in one page of a list when the request does not set a limit. The default is that of
    /// Glance.
    limit_param_default: usize = "25", Int::<usize>::new(1, 1_000_000, "");
    /// Largest number of images in one page of a list, whatever limit the request sets. Larger
    /// pages need more memory and time for each request.
    api_limit_max: usize = "1000", Int::<usize>::new(1, 1_000_000, "");
    /// Container formats that clients may use, in this spelling. Remove formats that your cloud
    /// does not use.
    container_formats: Vec<String> = "ami,ari,aki,bare,ovf,ova,docker", Words, also [
        ("image_format", "container_formats"),
    ];
    /// Disk formats that clients may use, in this spelling. Remove formats that your hypervisors
    /// cannot start.
    disk_formats: Vec<String> = "ami,ari,aki,vhd,vhdx,vmdk,raw,qcow2,vdi,iso,ploop", Words, also [
        ("image_format", "disk_formats"),
    ];
}
