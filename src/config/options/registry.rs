//! Options of the registry, which stores the records of images.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::declare::options;
use crate::config::secret::Secret;
use crate::config::value_types::{
    Choice, DAY_S, FilePath, Flag, Int, Limit, Optional, Password, Seconds, SecondsOrOff, Text,
    WordList,
};

/// Where the records of images are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryBackend {
    /// This process, in a folder.
    Embedded,
    /// A registry server.
    Remote,
    /// An etcd cluster.
    Etcd,
}

options! {
    /// Kind, folder and connections of the registry.
    pub struct RegistryConfig, "DEFAULT", "Registry";

    /// Where the records of images are stored: embedded (by this server, in registry_dir), remote
    /// (by glance-registry at registry_host), or etcd (in a cluster; the program must be built
    /// with the feature etcd). When it is empty, it is remote if registry_host is set, else
    /// embedded. Servers that share a registry must share the store of image data.
    registry_backend: Option<RegistryBackend> = "", Optional(Choice(&[
        ("embedded", RegistryBackend::Embedded),
        ("remote", RegistryBackend::Remote),
        ("etcd", RegistryBackend::Etcd),
    ]));
    /// Name of this server among the servers that share a registry. It must be unique, and the
    /// same after each start, because a starting server ends the uploads that the previous process
    /// of that name left. When it is empty, the host name and bind_port are used.
    node_name: String = "", Text;
    /// Time without a heartbeat after which the other servers end an upload of a server that
    /// shares the registry: the image becomes killed and its data are removed. A server that
    /// restarts under the same node_name does this at once; the option is for servers that never
    /// return. 0 never ends such uploads; the smallest other value is 30, because heartbeats are
    /// written every five seconds.
    upload_abandoned_after: Option<Duration> = "86400", SecondsOrOff { max: 366 * DAY_S };
    /// Folder of the embedded registry. Only one process at a time can open it.
    registry_dir: PathBuf = "$data_dir/registry", FilePath;
    /// Memory of sled's cache. Requests never wait for sled: it is read at a start only and
    /// written behind the journal, so a small cache suffices.
    registry_cache_size: u64 = "16777216", Int::<u64>::new(1 << 20, 1 << 40, "bytes");
    /// Longest time that the embedded registry waits for the disk. Afterwards the registry is
    /// read-only until the server is restarted, because it is unknown what the disk has stored. A
    /// busy disk takes one or two seconds; a disk that also writes back large images has taken
    /// twenty.
    registry_flush_timeout: Duration = "60", Seconds { min: 1, max: DAY_S };
    /// Disk space that the embedded registry reserves for deletions and for the end of uploads.
    /// When the disk is full, new images and changes are refused, while images can still be
    /// deleted.
    registry_reserve_size: u64 = "4194304", Int::<u64>::new(0, 1 << 40, "bytes");
    /// Deleted images of each tenant that the embedded registry remembers. The oldest are
    /// forgotten first; lists with changes-since no longer show them. -1 remembers all of them,
    /// and the registry grows without bound.
    registry_deleted_images_per_owner: Option<u64> = "10000", Limit;
    /// Host of the registry server (glance-registry). A registry server is used when this is set,
    /// unless registry_backend names another kind.
    registry_host: String = "", Text;
    /// Port of the registry server.
    registry_port: u16 = "9191", Int::<u16>::new(1, 65_535, "");
    /// Protocol of the connection to the registry server: http or https. glance-registry itself
    /// serves http only; https needs a proxy in front of it.
    registry_client_protocol: &'static str = "http", Choice(&[
        ("http", "http"),
        ("https", "https"),
    ]);
    /// PEM file of the certificate authorities that are trusted for the registry server. When it
    /// is empty, those of the system are used.
    registry_client_ca_file: Option<PathBuf> = "", Optional(FilePath);
    /// Accepts any certificate of the registry server. Use it for tests only.
    registry_client_insecure: bool = "false", Flag;
    /// Longest time that a request to the registry server or to etcd may take, the connection
    /// included. Afterwards the client receives 503 with Retry-After. Raise it only if the
    /// registry is far away or overloaded.
    registry_client_timeout: Duration = "10", Seconds { min: 1, max: DAY_S };
    /// Longest time that a starting server waits for an unreachable registry before it exits. The
    /// default lets all servers of a site start at the same time in any order.
    registry_start_timeout: Duration = "60", Seconds { min: 0, max: DAY_S };
    /// Addresses of the members of the etcd cluster. List all of them, so that the server can use
    /// another one when a member is down.
    etcd_endpoints: Vec<String> = "http://127.0.0.1:2379", WordList;
    /// Prefix of all keys in etcd; it must end with a slash. Servers that share a registry use the
    /// same prefix. Change it when several installations share one etcd cluster.
    etcd_prefix: String = "/glance/", Text;
    /// User for etcd. When it is empty, the server does not authenticate. Set it for a cluster
    /// with authentication.
    etcd_user: String = "", Text;
    /// Password of etcd_user.
    etcd_password: Secret = "", Password;
    /// PEM file of the certificate authorities that are trusted for etcd. When it is empty, those
    /// of the system are used.
    etcd_ca_file: Option<PathBuf> = "", Optional(FilePath);
    /// PEM file of the client certificate that the server presents to etcd.
    etcd_cert_file: Option<PathBuf> = "", Optional(FilePath);
    /// PEM file of the private key of etcd_cert_file.
    etcd_key_file: Option<PathBuf> = "", Optional(FilePath);
    /// Time for which reads are still answered from memory while etcd is unreachable. Afterwards
    /// reads are answered with 503; writes are answered with 503 from the start. 0 answers reads
    /// without a limit, with records that may be out of date.
    etcd_read_limit: Option<Duration> = "300", SecondsOrOff { max: DAY_S };
}

impl RegistryConfig {
    /// Returns the kind of registry that is in use.
    pub fn backend(&self) -> RegistryBackend {
        self.registry_backend
            .unwrap_or(match self.registry_host.as_str() {
                "" => RegistryBackend::Embedded,
                _ => RegistryBackend::Remote,
            })
    }

    /// Returns the URL of the registry server.
    pub fn remote_address(&self) -> String {
        // A bare IPv6 address needs brackets in a URL.
        let host = match self.registry_host.contains(':') && !self.registry_host.starts_with('[') {
            true => format!("[{}]", self.registry_host),
            false => self.registry_host.clone(),
        };
        let protocol = self.registry_client_protocol;
        format!("{protocol}://{host}:{}", self.registry_port)
    }
}
