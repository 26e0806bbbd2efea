//! Options for sources that clients name, and of the HTTP store, which reads them.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::declare::options;
use crate::config::value_types::{
    DAY_S, FilePath, Flag, Int, NumberList, Optional, Seconds, WordList,
};

options! {
    /// Limits of copies from a source that a client names (x-glance-api-copy-from).
    pub struct CopiesConfig, "DEFAULT", "Copies";

    /// Copies (x-glance-api-copy-from) that run at the same time. Further ones wait in status
    /// queued. Each copy needs memory of an upload and a connection to its source; raise the limit
    /// for many slow sources.
    copy_from_limit: usize = "16", Int::<usize>::new(1, 10_000, "");
    /// Average rate that the source of a copy must reach over a window of time. A slower copy is
    /// aborted and its image becomes killed, so that slow sources cannot occupy all of
    /// copy_from_limit. 0 turns the rule off.
    copy_from_min_rate: u64 = "1024", Int::<u64>::new(0, 1 << 40, "bytes a second");
}

options! {
    /// The HTTP store, which reads images from web servers and stores none.
    pub struct HttpStoreConfig, "glance_store", "HTTP store";

    /// Longest time until a connection to a web server is established, TLS included. Lower it for
    /// mirrors in the same data centre, so that a dead one fails sooner.
    http_store_connect_timeout: Duration = "10", Seconds { min: 1, max: DAY_S };
    /// Longest time until a web server sends the head of its response. Raise it for servers that
    /// assemble an object before they send it.
    http_store_answer_timeout: Duration = "30", Seconds { min: 1, max: DAY_S };
    /// Longest pause of a web server within the data of an image. The transfer is aborted
    /// afterwards. Interrupted transfers are resumed where possible, so a shorter time mostly
    /// means more attempts.
    http_store_stall_timeout: Duration = "60", Seconds { min: 1, max: DAY_S };
    /// Amount of data that may be read and discarded to reach the requested range when a web
    /// server does not support ranges. When more would have to be discarded, the whole image is
    /// sent.
    http_store_max_discard: u64 = "1024", Int::<u64>::new(0, 1 << 30, "MiB");
    /// Redirects that are followed, each only to an address that a client could have named itself.
    /// 0 refuses redirects, because an image's data could otherwise move to another server
    /// unnoticed. Glance follows five.
    http_store_max_redirects: u32 = "0", Int::<u32>::new(0, 10, "");
    /// PEM file of the certificate authorities that are trusted for web servers. When it is empty,
    /// those of the system are used.
    https_ca_certificates_file: Option<PathBuf> = "", Optional(FilePath), also [
        ("DEFAULT", "https_ca_certificates_file"),
    ];
    /// Accepts any certificate of a web server. Anyone between the two servers can then change
    /// images. Use it for tests only. Glance's default is true.
    https_insecure: bool = "false", Flag, also [("DEFAULT", "https_insecure")];
}

options! {
    /// Filters for the URIs that clients name (x-image-meta-location, x-glance-api-copy-from).
    pub struct SourcesConfig, "import_filtering_opts", "Sources that clients name";

    /// Schemes that a URI from a client may have. Only http and https can be allowed. When it is
    /// empty, all schemes that disallowed_schemes does not list are allowed.
    allowed_schemes: Vec<String> = "http,https", WordList;
    /// Schemes that a URI from a client must not have. It is used only when allowed_schemes is
    /// empty.
    disallowed_schemes: Vec<String> = "", WordList;
    /// Hosts that a URI from a client may name: names or addresses, compared as a whole. When it
    /// is empty, all hosts that disallowed_hosts does not list are allowed.
    allowed_hosts: Vec<String> = "", WordList;
    /// Hosts that a URI from a client must not name. It is used only when allowed_hosts is empty.
    disallowed_hosts: Vec<String> = "", WordList;
    /// Ports that a URI from a client may name; a URI without a port uses that of its scheme. When
    /// it is empty, all ports that disallowed_ports does not list are allowed. Glance does not
    /// list 8080.
    allowed_ports: Vec<u16> = "80,443,8080", NumberList::<u16>::new(1, 65_535);
    /// Ports that a URI from a client must not name. It is used only when allowed_ports is empty.
    disallowed_ports: Vec<u16> = "", NumberList::<u16>::new(1, 65_535);
    /// Allows URIs that lead to this machine or to private networks, directly or through a host
    /// name. Every client can then read what this machine can read from there, so leave it off
    /// unless the mirrors are on a private network and allowed_hosts is set. The server's own
    /// listeners and link-local addresses (169.254.0.0/16, where clouds serve metadata) are never
    /// allowed.
    allow_private_addresses: bool = "false", Flag;
}
