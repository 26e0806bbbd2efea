//! The Swift store.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::declare::options;
use crate::config::secret::Secret;
use crate::config::value_types::{
    AuthAddress, Choice, ContainerName, DAY_S, Endpoint, FilePath, Flag, Int, Optional, Password,
    Seconds, Text, ValueType, Word,
};

/// How an account of Swift is logged in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwiftAuth {
    /// By Swift's own v1.0 (tempauth, swauth, Ceph's gateway).
    V1,
    /// By Keystone's v2.0, which is gone.
    V2,
    /// By Keystone's v3.
    V3,
}

/// A version in Glance's spellings. One that is gone is judged where it would be used.
pub(crate) struct SwiftAuthVersion;

impl ValueType for SwiftAuthVersion {
    type Value = SwiftAuth;

    fn expected(&self) -> String {
        "1 or 3".into()
    }

    fn parse(&self, text: &str) -> Option<SwiftAuth> {
        match text {
            "1" | "1.0" => Some(SwiftAuth::V1),
            "2" | "2.0" => Some(SwiftAuth::V2),
            "3" | "3.0" => Some(SwiftAuth::V3),
            _ => None,
        }
    }
}

/// For whom an endpoint in Keystone's catalogue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointType {
    Public,
    Internal,
    Admin,
}

/// What joins the segments of a large object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwiftManifest {
    /// Static where the cluster offers it, else dynamic.
    Auto,
    /// Dynamic: a prefix of names.
    Dynamic,
    /// Static: a list of names, lengths and ETags.
    Static,
}

/// Largest size an option in MB may ask for: 1 PB.
const MOST_MB: u64 = 1 << 30;

options! {
    /// The Swift store: whom it logs in as, and how images are cut into objects.
    pub struct SwiftConfig, "glance_store", "Swift store";

    /// Where to log in: https://keystone:5000/v3, or with swift_store_auth_version = 1 https://swift/auth/v1.0.
    swift_store_auth_address: Option<String> = "", Optional(AuthAddress), also [
        ("DEFAULT", "swift_store_auth_address"),
    ];
    /// How to log in: 3 (Keystone), or 1 (Swift's own v1.0). Glance's 2 is gone from Keystone since 2018.
    swift_store_auth_version: SwiftAuth = "3", SwiftAuthVersion, also [
        ("DEFAULT", "swift_store_auth_version"),
    ];
    /// Who logs in: project:user for Keystone, account:user for v1.0.
    swift_store_user: Option<String> = "", Optional(Text), also [("DEFAULT", "swift_store_user")];
    /// The password or key of swift_store_user. Who may read this file must then be limited to its owner and group.
    swift_store_key: Secret = "", Password, also [("DEFAULT", "swift_store_key")];
    /// Keystone's domain of the user, by id. Nothing, here and in swift_store_user_domain_name = default.
    swift_store_user_domain_id: Option<String> = "", Optional(Text);
    /// Keystone's domain of the user, by name.
    swift_store_user_domain_name: Option<String> = "", Optional(Text);
    /// Keystone's domain of the project, by id. Nothing, here and in swift_store_project_domain_name = default.
    swift_store_project_domain_id: Option<String> = "", Optional(Text);
    /// Keystone's domain of the project, by name.
    swift_store_project_domain_name: Option<String> = "", Optional(Text);
    /// File of accounts, in place of the four options from swift_store_auth_address to swift_store_key: a section for
    /// each, named by the reference that locations have (swift+config://ref1/...), with auth_address, user, key, and
    /// if need be auth_version, user_domain_id, user_domain_name, project_domain_id, project_domain_name.
    swift_store_config_file: Option<PathBuf> = "", Optional(FilePath), also [
        ("DEFAULT", "swift_store_config_file"),
    ];
    /// Reference of the account that new images go to: a section of swift_store_config_file, or the name that the
    /// account of the options above gets. It stands in the locations of images, so it must not change.
    default_swift_reference: String = "ref1", Word, also [("DEFAULT", "default_swift_reference")];
    /// Container of new images.
    swift_store_container: String = "glance", ContainerName, also [("DEFAULT", "swift_store_container")];
    /// Make the container of new images when it is not there.
    swift_store_create_container_on_put: bool = "false", Flag, also [
        ("DEFAULT", "swift_store_create_container_on_put"),
    ];
    /// Spread new images over 16 to the power of this containers, named by the first digits of the image's id behind
    /// swift_store_container and an underscore. 0 = one container.
    swift_store_multiple_containers_seed: usize = "0", Int::<usize>::new(0, 32, ""), also [
        ("DEFAULT", "swift_store_multiple_containers_seed"),
    ];
    /// Size from which an image is cut into segments, in MiB. At most Swift's max_file_size, 5120 unless changed there.
    swift_store_large_object_size: u64 = "5120", Int::<u64>::new(1, MOST_MB, "MiB"), also [
        ("DEFAULT", "swift_store_large_object_size"),
    ];
    /// Size of a segment, in MiB.
    swift_store_large_object_chunk_size: u64 = "200", Int::<u64>::new(1, MOST_MB, "MiB"), also [
        ("DEFAULT", "swift_store_large_object_chunk_size"),
    ];
    /// What joins the segments: dlo (as Glance does it: a prefix; what belongs to it Swift looks up at each
    /// download), slo (a list of segments with their lengths and ETags, which Swift checks), or auto (slo where the
    /// cluster offers it and takes as many segments, else dlo). Every Glance since 2014 reads and deletes both.
    swift_store_large_object_manifest: SwiftManifest = "auto", Choice(&[
        ("auto", SwiftManifest::Auto),
        ("dlo", SwiftManifest::Dynamic),
        ("slo", SwiftManifest::Static),
    ]);
    /// Compare the MD5 of each segment with the ETag that Swift answers with. Objects that are not cut are always
    /// compared.
    swift_store_verify_segments: bool = "true", Flag;
    /// Type of Swift's service in Keystone's catalogue.
    swift_store_service_type: String = "object-store", Word, also [
        ("DEFAULT", "swift_store_service_type"),
    ];
    /// Region of Swift's endpoint in the catalogue. Nothing = the first endpoint.
    swift_store_region: Option<String> = "", Optional(Text), also [("DEFAULT", "swift_store_region")];
    /// Which of Swift's endpoints in the catalogue.
    swift_store_endpoint_type: EndpointType = "publicURL", Choice(&[
        ("publicURL", EndpointType::Public),
        ("internalURL", EndpointType::Internal),
        ("adminURL", EndpointType::Admin),
        ("public", EndpointType::Public),
        ("internal", EndpointType::Internal),
        ("admin", EndpointType::Admin),
    ]), also [("DEFAULT", "swift_store_endpoint_type")];
    /// URL of the account in Swift, in place of the one that the catalogue or v1.0 tells:
    /// https://swift:8080/v1/AUTH_x.
    swift_store_endpoint: Option<String> = "", Optional(Endpoint), also [
        ("DEFAULT", "swift_store_endpoint"),
    ];
    /// Take any certificate of Keystone and Swift.
    swift_store_auth_insecure: bool = "false", Flag, also [("DEFAULT", "swift_store_auth_insecure")];
    /// PEM file of the authorities whose certificates are taken. Nothing = the system's.
    swift_store_cacert: Option<PathBuf> = "", Optional(FilePath), also [
        ("DEFAULT", "swift_store_cacert"),
    ];
    /// Times a download is asked for again where it broke off, if not one byte came between. Glance has 0.
    swift_store_retry_get_count: u32 = "3", Int::<u32>::new(0, 1_000, ""), also [
        ("DEFAULT", "swift_store_retry_get_count"),
    ];
    /// How long before its end a token is renewed.
    swift_store_expire_soon_interval: Duration = "60", Seconds { min: 0, max: DAY_S };
    /// Longest time until a connection to Keystone or Swift stands.
    swift_store_connect_timeout: Duration = "10", Seconds { min: 1, max: DAY_S };
    /// How long Keystone or Swift may be silent: before an answer, while it takes an upload, in a download.
    swift_store_timeout: Duration = "60", Seconds { min: 1, max: DAY_S };
}
