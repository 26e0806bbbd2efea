//! Listening, connections, and the health check.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::declare::options;
use crate::config::value_types::{
    Address, DAY_S, Endpoint, FilePath, Flag, Int, Optional, Seconds, SecondsOrOff,
};

/// The largest `TCP_KEEPIDLE` that Linux takes.
const KEEPIDLE_MAX_S: u64 = 32_767;

options! {
    /// Where the servers listen and how they begin and end.
    pub struct ListenConfig, "DEFAULT", "Listening";

    /// Address the API listens on. Glance listens on every address. As long as nobody is asked who they are
    /// ([paste_deploy] flavor), keep it where only trusted callers are.
    bind_host: IpAddr = "127.0.0.1", Address;
    /// Port of the API.
    bind_port: u16 = "9292", Int::<u16>::new(1, 65_535, "");
    /// Connections that the kernel holds until they are accepted.
    backlog: u32 = "4096", Int::<u32>::new(1, 65_535, "");
    /// Worker threads; each new connection goes to the one that has fewest. 0 = one for each core.
    workers: usize = "0", Int::<usize>::new(0, 1_024, "");
    /// Connections the API serves at a time. Past it new ones wait in the kernel until others end. Lowered at the start
    /// to what the file descriptors (LimitNOFILE, ulimit -n) suffice for, three for two of them.
    max_connections: usize = "10000", Int::<usize>::new(1, 1_000_000, "");
    /// Silence after which the kernel asks whether a peer is still there.
    tcp_keepidle: Duration = "600", Seconds { min: 1, max: KEEPIDLE_MAX_S };
    /// Start of the URLs in answers, when clients reach the API under another name than the one they ask for
    /// (a proxy in front). Nothing = the Host header of the request.
    public_endpoint: Option<String> = "", Optional(Endpoint);
    /// Time that SIGTERM leaves to transfers in flight; what runs longer is cut. 0 = cut at once.
    drain_timeout: Duration = "60", Seconds { min: 0, max: DAY_S };
    /// Time that a reload leaves to transfers of the process that was replaced; what runs longer is cut.
    reload_timeout: Duration = "21600", Seconds { min: 0, max: DAY_S };
    /// Address of the operator's listener (/metrics, /healthcheck). Keep it where tenants cannot reach it.
    admin_bind_host: IpAddr = "127.0.0.1", Address;
    /// Port of the operator's listener. 0 = no such listener.
    admin_bind_port: u16 = "9293", Int::<u16>::new(0, 65_535, "");
    /// Connections that the operator's listener serves at a time. Past it new ones wait in the kernel.
    admin_max_connections: usize = "128", Int::<usize>::new(1, 1_000_000, "");
}

impl ListenConfig {
    /// The address of the API.
    pub fn api_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_host, self.bind_port)
    }

    /// The address of the operator's listener; `None` when it is off.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        let on = self.admin_bind_port != 0;
        on.then(|| SocketAddr::new(self.admin_bind_host, self.admin_bind_port))
    }
}

options! {
    /// How long and how much one connection may ask for.
    pub struct HttpConfig, "DEFAULT", "Connections";

    /// A connection on which nothing moves for that long is closed, be it in a request's head, in an upload or
    /// in a download. 0 = never.
    client_socket_timeout: Option<Duration> = "60", SecondsOrOff { max: DAY_S };
    /// Bytes a second that a client must send of an upload, and take of a download, measured over half a minute
    /// of waiting for it; a slower one is cut. Keeps clients that drip from holding connections. 0 = no such rule.
    client_min_rate: u64 = "1024", Int::<u64>::new(0, 1 << 40, "bytes a second");
    /// Longest time spent on reading away what a client still sends whose request was refused: closing at once
    /// would take the answer from it. 0 = no such time.
    client_linger_timeout: Duration = "10", Seconds { min: 0, max: DAY_S };
    /// Whether a connection serves more than one request.
    http_keepalive: bool = "true", Flag;
    /// Size of a request's whole head; more is answered with 431.
    max_header_size: usize = "65536", Int::<usize>::new(8_192, 1 << 20, "bytes");
    /// Size of one header line, its name included; more is answered with 400.
    max_header_line: usize = "16384", Int::<usize>::new(1_024, 1 << 20, "bytes");
    /// Length of the id that a client gives its request in X-Openstack-Request-Id; a longer one is answered with
    /// 431. The id is in the response and in the log, after `req-` if the client left that out.
    max_request_id_length: usize = "64", Int::<usize>::new(1, 1_024, "characters");
}

options! {
    /// What `/healthcheck` looks at.
    pub struct HealthcheckConfig, "healthcheck", "Health check";

    /// While this file exists, /healthcheck answers 503: a load balancer takes the node out, and transfers in
    /// flight go on. Nothing = only the node's own state counts.
    disable_by_file_path: Option<PathBuf> = "", Optional(FilePath), also [
        ("oslo_middleware", "disable_by_file_path"),
        ("oslo_middleware", "healthcheck_disable_by_file_path"),
        ("app:healthcheck", "disable_by_file_path"),
        ("DEFAULT", "disable_by_file"),
    ];
}
