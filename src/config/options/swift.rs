//! Options of the Swift store.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::declare::options;
use crate::config::secret::Secret;
use crate::config::value_types::{
    AuthAddress, Choice, ContainerName, DAY_S, Endpoint, FilePath, Flag, Int, Optional, Password,
    Seconds, Text, ValueType, Word,
};

/// Authentication of a Swift account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwiftAuth {
    /// Swift's own v1.0 (tempauth, swauth, Ceph's gateway).
    V1,
    /// Keystone's v2.0, which Keystone removed in 2018.
    V2,
    /// Keystone's v3.
    V3,
}

/// An authentication version in Glance's spellings. The removed version 2 is accepted here and
/// rejected where an account would use it, so that leftover options do no harm.
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

/// Interface of an endpoint in Keystone's catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointType {
    /// For clients.
    Public,
    /// For other services.
    Internal,
    /// For administrators.
    Admin,
}

/// The object that joins the segments of a large object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwiftManifest {
    /// Static where the cluster supports it, else dynamic.
    Auto,
    /// Dynamic large object: a prefix of names.
    Dynamic,
    /// Static large object: a list of names, lengths and ETags.
    Static,
}

/// Largest value of options in MiB: 1 PiB.
const MOST_MB: u64 = 1 << 30;

options! {
    /// Account, container, segments and timeouts of the Swift store.
    pub struct SwiftConfig, "glance_store", "Swift store";

    /// URL of the authentication service: https://keystone:5000/v3, or https://swift/auth/v1.0
    /// with swift_store_auth_version = 1.
    swift_store_auth_address: Option<String> = "", Optional(AuthAddress), also [
        ("DEFAULT", "swift_store_auth_address"),
    ];
    /// Authentication: 3 (Keystone) or 1 (Swift's own v1.0). Glance's value 2 is rejected, because
    /// Keystone removed its v2.0 API in 2018.
    swift_store_auth_version: SwiftAuth = "3", SwiftAuthVersion, also [
        ("DEFAULT", "swift_store_auth_version"),
    ];
    /// User of the account: project:user for Keystone, account:user for v1.0.
    swift_store_user: Option<String> = "", Optional(Text), also [("DEFAULT", "swift_store_user")];
    /// Password or key of swift_store_user. A file that contains it must not be readable by other
    /// users.
    swift_store_key: Secret = "", Password, also [("DEFAULT", "swift_store_key")];
    /// Id of the user's domain in Keystone. When this option and swift_store_user_domain_name are
    /// empty, the domain is default.
    swift_store_user_domain_id: Option<String> = "", Optional(Text);
    /// Name of the user's domain in Keystone.
    swift_store_user_domain_name: Option<String> = "", Optional(Text);
    /// Id of the project's domain in Keystone. When this option and
    /// swift_store_project_domain_name are empty, the domain is default.
    swift_store_project_domain_id: Option<String> = "", Optional(Text);
    /// Name of the project's domain in Keystone.
    swift_store_project_domain_name: Option<String> = "", Optional(Text);
    /// File of accounts, instead of the options swift_store_auth_address to swift_store_key. Each
    /// section is named by the reference that locations contain (swift+config://ref1/...) and has
    /// auth_address, user, key, and optionally auth_version, user_domain_id, user_domain_name,
    /// project_domain_id and project_domain_name.
    swift_store_config_file: Option<PathBuf> = "", Optional(FilePath), also [
        ("DEFAULT", "swift_store_config_file"),
    ];
    /// Reference of the account for new images: a section of swift_store_config_file, or the name
    /// of the account that the options above describe. Locations of images contain it, so do not
    /// change it afterwards.
    default_swift_reference: String = "ref1", Word, also [("DEFAULT", "default_swift_reference")];
    /// Container of new images. Use separate containers for installations that share an account.
    swift_store_container: String = "glance", ContainerName, also [
        ("DEFAULT", "swift_store_container"),
    ];
    /// Creates a missing container when the first image is uploaded. Off by default, so that a
    /// misspelt name does not create a container.
    swift_store_create_container_on_put: bool = "false", Flag, also [
        ("DEFAULT", "swift_store_create_container_on_put"),
    ];
    /// Distributes new images over 16 to the power of this number of containers, each named
    /// swift_store_container, an underscore and the first digits of the image's id. 0 uses one
    /// container. Use it when one container would hold millions of objects.
    swift_store_multiple_containers_seed: usize = "0", Int::<usize>::new(0, 32, ""), also [
        ("DEFAULT", "swift_store_multiple_containers_seed"),
    ];
    /// Size from which an image is stored in segments. It must not exceed Swift's max_file_size,
    /// which is 5120 MiB by default.
    swift_store_large_object_size: u64 = "5120", Int::<u64>::new(1, MOST_MB, "MiB"), also [
        ("DEFAULT", "swift_store_large_object_size"),
    ];
    /// Size of a segment. Smaller segments lose less when one has to be sent again; Swift limits
    /// the number of segments of a manifest.
    swift_store_large_object_chunk_size: u64 = "200", Int::<u64>::new(1, MOST_MB, "MiB"), also [
        ("DEFAULT", "swift_store_large_object_chunk_size"),
    ];
    /// Manifest of an image that is stored in segments: dlo (dynamic large object, a name prefix
    /// that Swift evaluates at each download, as Glance writes it), slo (static large object, a
    /// list of segments with lengths and ETags that Swift verifies), or auto (slo where the
    /// cluster supports it and allows enough segments, else dlo). Every Glance since 2014 reads
    /// and deletes both.
    swift_store_large_object_manifest: SwiftManifest = "auto", Choice(&[
        ("auto", SwiftManifest::Auto),
        ("dlo", SwiftManifest::Dynamic),
        ("slo", SwiftManifest::Static),
    ]);
    /// Compares the MD5 of each segment with the ETag that Swift returns. Images that are not
    /// stored in segments are always compared. Turn it off only for services whose ETags are not
    /// an MD5.
    swift_store_verify_segments: bool = "true", Flag;
    /// Type of the Swift service in Keystone's catalogue.
    swift_store_service_type: String = "object-store", Word, also [
        ("DEFAULT", "swift_store_service_type"),
    ];
    /// Region of the Swift endpoint in the catalogue. When it is empty, the first endpoint is
    /// used. Set it in a cloud with several regions, to the one of this server.
    swift_store_region: Option<String> = "", Optional(Text), also [
        ("DEFAULT", "swift_store_region"),
    ];
    /// Interface of the Swift endpoint in the catalogue. Use internalURL if this server reaches
    /// Swift over an internal network.
    swift_store_endpoint_type: EndpointType = "publicURL", Choice(&[
        ("publicURL", EndpointType::Public),
        ("internalURL", EndpointType::Internal),
        ("adminURL", EndpointType::Admin),
        ("public", EndpointType::Public),
        ("internal", EndpointType::Internal),
        ("admin", EndpointType::Admin),
    ]), also [("DEFAULT", "swift_store_endpoint_type")];
    /// URL of the Swift account, instead of the one from the catalogue or from v1.0, for example
    /// https://swift:8080/v1/AUTH_x.
    swift_store_endpoint: Option<String> = "", Optional(Endpoint), also [
        ("DEFAULT", "swift_store_endpoint"),
    ];
    /// Accepts any certificate of Keystone and Swift. Use it for tests only.
    swift_store_auth_insecure: bool = "false", Flag, also [
        ("DEFAULT", "swift_store_auth_insecure"),
    ];
    /// PEM file of the certificate authorities that are trusted for Keystone and Swift. When it is
    /// empty, those of the system are used.
    swift_store_cacert: Option<PathBuf> = "", Optional(FilePath), also [
        ("DEFAULT", "swift_store_cacert"),
    ];
    /// Attempts to resume a download that Swift interrupted, as long as no byte arrives in
    /// between. Glance's default is 0. The default bridges a short failure of a proxy.
    swift_store_retry_get_count: u32 = "3", Int::<u32>::new(0, 1_000, ""), also [
        ("DEFAULT", "swift_store_retry_get_count"),
    ];
    /// Time before its expiry at which a token is renewed. It must be longer than the time to
    /// start a request.
    swift_store_expire_soon_interval: Duration = "60", Seconds { min: 0, max: DAY_S };
    /// Longest time until a connection to Keystone or Swift is established. Lower it to fail
    /// sooner when Swift is unreachable.
    swift_store_connect_timeout: Duration = "10", Seconds { min: 1, max: DAY_S };
    /// Longest pause of Keystone or Swift: before a response, while receiving an upload, and
    /// within a download. Raise it for clusters that are slow to confirm large objects.
    swift_store_timeout: Duration = "60", Seconds { min: 1, max: DAY_S };
}
