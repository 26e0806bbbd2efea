//! Sources that clients name, and the store that reads them.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::declare::options;
use crate::config::value_types::{
    DAY_S, FilePath, Flag, Int, NumberList, Optional, Seconds, WordList,
};

options! {
    /// Copies from sources that clients name (x-glance-api-copy-from).
    pub struct CopiesConfig, "DEFAULT", "Copies";

    /// Copies under way at a time. More wait in status queued for their turn.
    copy_from_limit: usize = "16", Int::<usize>::new(1, 10_000, "");
    /// Bytes a second that a source must send on average, measured over a window of time; a slower one is given up
    /// and its image killed. 0 = no such rule.
    copy_from_min_rate: u64 = "1024", Int::<u64>::new(0, 1 << 40, "bytes a second");
}

options! {
    /// The store http: images that stay on web servers. It only reads.
    pub struct HttpStoreConfig, "glance_store", "HTTP store";

    /// Time until a connection to a web server must stand, TLS included.
    http_store_connect_timeout: Duration = "10", Seconds { min: 1, max: DAY_S };
    /// Time that a web server has for the head of its answer.
    http_store_answer_timeout: Duration = "30", Seconds { min: 1, max: DAY_S };
    /// Silence of a web server in the middle of an image after which the transfer is given up.
    http_store_stall_timeout: Duration = "60", Seconds { min: 1, max: DAY_S };
    /// Data that are read and discarded when a part of an image is expected whose web server knows no ranges. An image of
    /// which more would be discarded is sent whole.
    http_store_max_discard: u64 = "1024", Int::<u64>::new(0, 1 << 30, "MiB");
    /// Redirects that are followed, each only to where a client might have pointed itself. Glance follows five.
    http_store_max_redirects: u32 = "0", Int::<u32>::new(0, 10, "");
    /// File of the authorities that are trusted, PEM. Nothing = those of the system.
    https_ca_certificates_file: Option<PathBuf> = "", Optional(FilePath), also [
        ("DEFAULT", "https_ca_certificates_file"),
    ];
    /// Whether any certificate will do. Glance's default is true.
    https_insecure: bool = "false", Flag, also [("DEFAULT", "https_insecure")];
}

options! {
    /// What clients may name as the source of an image (x-image-meta-location, x-glance-api-copy-from).
    pub struct SourcesConfig, "import_filtering_opts", "Sources that clients name";

    /// Schemes that may be named. Only http and https ever may. Nothing = all that are not disallowed.
    allowed_schemes: Vec<String> = "http,https", WordList;
    /// Schemes that may not be named. Counts only where allowed_schemes is empty.
    disallowed_schemes: Vec<String> = "", WordList;
    /// Hosts that may be named, as a whole: names or addresses. Nothing = all that are not disallowed.
    allowed_hosts: Vec<String> = "", WordList;
    /// Hosts that may not be named. Counts only where allowed_hosts is empty.
    disallowed_hosts: Vec<String> = "", WordList;
    /// Ports that may be named; a URI without one has that of its scheme. Nothing = all that are not disallowed.
    /// Glance has no 8080 here.
    allowed_ports: Vec<u16> = "80,443,8080", NumberList::<u16>::new(1, 65_535);
    /// Ports that may not be named. Counts only where allowed_ports is empty.
    disallowed_ports: Vec<u16> = "", NumberList::<u16>::new(1, 65_535);
    /// Whether addresses of this machine and of private networks may be reached, also by the names that lead to
    /// them: then every client reaches what this machine reaches. Where this server listens itself, and the
    /// link (169.254.0.0/16, where clouds have their metadata), stay out of reach.
    allow_private_addresses: bool = "false", Flag;
}
