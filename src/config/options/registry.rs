//! Where image records are kept.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::declare::options;
use crate::config::secret::Secret;
use crate::config::value_types::{
    Choice, DAY_S, FilePath, Flag, Int, Limit, Optional, Password, Seconds, SecondsOrOff, Text,
    WordList,
};

/// Who keeps the records.
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
    /// Where image records are kept, and how.
    pub struct RegistryConfig, "DEFAULT", "Registry";

    /// Who keeps the records of images: embedded (this server, in registry_dir), remote (glance-registry at
    /// registry_host), or etcd (a cluster, for a program that was built with the feature etcd). Nothing = remote when
    /// registry_host is set, else embedded. Servers that share a registry must share the store of image data.
    registry_backend: Option<RegistryBackend> = "", Optional(Choice(&[
        ("embedded", RegistryBackend::Embedded),
        ("remote", RegistryBackend::Remote),
        ("etcd", RegistryBackend::Etcd),
    ]));
    /// Name of this server among those that share a registry, the same after each start: a server that starts kills
    /// the uploads that one of its name has left. Nothing = the name of the machine and bind_port.
    node_name: String = "", Text;
    /// How long an upload at another server that shares the registry may show no sign of life until its image is
    /// killed and what it has stored is removed. A server that comes back under its name does that at once; this is
    /// for those that never do. 30 at least; 0 = never.
    upload_abandoned_after: Option<Duration> = "86400", SecondsOrOff { max: 366 * DAY_S };
    /// Folder of the embedded registry. One server at a time can have it open.
    registry_dir: PathBuf = "$data_dir/registry", FilePath;
    /// Memory that sled may use as a cache. Requests are answered from other memory; sled reads at a start and writes
    /// behind the journal.
    registry_cache_size: u64 = "16777216", Int::<u64>::new(1 << 20, 1 << 40, "bytes");
    /// Longest time that the embedded registry waits for the disk. A busy disk takes a second or two; one that also
    /// writes large images back has been seen to take twenty. After this time the registry is only read until the
    /// server is restarted, because it is unknown what the disk holds.
    registry_flush_timeout: Duration = "60", Seconds { min: 1, max: DAY_S };
    /// Disk space that the embedded registry reserves for deletions and the ends of uploads. When the disk is full,
    /// new images and changes are refused, and images can still be deleted.
    registry_reserve_size: u64 = "4194304", Int::<u64>::new(0, 1 << 40, "bytes");
    /// Deleted images of one tenant that the embedded registry remembers. The oldest are forgotten when there are
    /// more; lists with changes-since do not show them any more. -1 = all of them.
    registry_deleted_images_per_owner: Option<u64> = "10000", Limit;
    /// Host of the registry server.
    registry_host: String = "", Text;
    /// Port of the registry server.
    registry_port: u16 = "9191", Int::<u16>::new(1, 65_535, "");
    /// How the registry server is spoken to: http or https.
    registry_client_protocol: &'static str = "http", Choice(&[("http", "http"), ("https", "https")]);
    /// File with the certificates that the registry server is trusted by. Nothing = those of the system.
    registry_client_ca_file: Option<PathBuf> = "", Optional(FilePath);
    /// Whether anybody may answer for the registry server. For trials.
    registry_client_insecure: bool = "false", Flag;
    /// Longest wait for a registry server or for etcd, the time to connect included. After it the client is told to
    /// try again.
    registry_client_timeout: Duration = "10", Seconds { min: 1, max: DAY_S };
    /// How long a server that starts waits for a registry that is away.
    registry_start_timeout: Duration = "60", Seconds { min: 0, max: DAY_S };
    /// Addresses of the members of the etcd cluster. Name all of them: one that is away is passed over.
    etcd_endpoints: Vec<String> = "http://127.0.0.1:2379", WordList;
    /// What the keys in etcd begin with. Servers that share a registry have the same.
    etcd_prefix: String = "/glance/", Text;
    /// User in etcd. Nothing = etcd asks nobody.
    etcd_user: String = "", Text;
    /// The user's password.
    etcd_password: Secret = "", Password;
    /// File with the certificates that etcd is trusted by. Nothing = those of the system.
    etcd_ca_file: Option<PathBuf> = "", Optional(FilePath);
    /// File with the certificate that etcd knows this server by.
    etcd_cert_file: Option<PathBuf> = "", Optional(FilePath);
    /// File with its key.
    etcd_key_file: Option<PathBuf> = "", Optional(FilePath);
    /// How long images are still shown as they were when etcd was last heard of. After it reading answers 503, as
    /// writing does at once. 0 = for ever.
    etcd_read_limit: Option<Duration> = "300", SecondsOrOff { max: DAY_S };
}

impl RegistryConfig {
    /// Who keeps the records.
    pub fn backend(&self) -> RegistryBackend {
        self.registry_backend
            .unwrap_or(match self.registry_host.as_str() {
                "" => RegistryBackend::Embedded,
                _ => RegistryBackend::Remote,
            })
    }

    /// Where the registry server is.
    pub fn remote_address(&self) -> String {
        // An IPv6 address.
        let host = match self.registry_host.contains(':') && !self.registry_host.starts_with('[') {
            true => format!("[{}]", self.registry_host),
            false => self.registry_host.clone(),
        };
        let protocol = self.registry_client_protocol;
        format!("{protocol}://{host}:{}", self.registry_port)
    }
}
