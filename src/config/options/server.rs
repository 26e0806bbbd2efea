//! Options of listeners, connections and the health check.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::declare::options;
use crate::config::value_types::{
    Address, DAY_S, Endpoint, FilePath, Flag, Int, Optional, Seconds, SecondsOrOff,
};

/// Largest `TCP_KEEPIDLE` that Linux accepts, in seconds.
const KEEPIDLE_MAX_S: u64 = 32_767;

options! {
    /// Addresses of the listeners, worker threads, and the timeouts of stop and reload.
    pub struct ListenConfig, "DEFAULT", "Listening";

    /// Address on which the API listens. The default is loopback, because authentication is off by
    /// default (see [paste_deploy] flavor) and every caller then has full access. Glance listens
    /// on every address. Set 0.0.0.0 or :: when identities are checked, or when a firewall admits
    /// trusted callers only.
    bind_host: IpAddr = "127.0.0.1", Address;
    /// Port on which the API listens. 9292 is the port that clients and the service catalogue
    /// expect; a registry server uses 9191 unless this option is set.
    bind_port: u16 = "9292", Int::<u16>::new(1, 65_535, "");
    /// Connections that the kernel keeps in the listen queue until the server accepts them. Linux
    /// limits the value to net.core.somaxconn. Raise both when clients see refused connections
    /// during bursts.
    backlog: u32 = "4096", Int::<u32>::new(1, 65_535, "");
    /// Threads that serve API requests. Each new connection is assigned to the worker that has the
    /// fewest. 0 starts one worker for each core, which is right unless other programs share the
    /// machine.
    workers: usize = "0", Int::<usize>::new(0, 1_024, "");
    /// Connections that the API serves at the same time. Further connections wait in the kernel
    /// until others end. The server lowers the value at its start when the limit of file
    /// descriptors (LimitNOFILE, ulimit -n) is too low: it needs three descriptors for two
    /// connections.
    max_connections: usize = "10000", Int::<usize>::new(1, 1_000_000, "");
    /// Idle time of a connection before the kernel sends TCP keepalive probes (TCP_KEEPIDLE).
    /// Lower it when a firewall between clients and server forgets idle connections sooner.
    tcp_keepidle: Duration = "600", Seconds { min: 1, max: KEEPIDLE_MAX_S };
    /// Base of the URLs in responses. Set it when clients reach the API through a proxy under
    /// another name. When it is empty, the Host header of the request is used.
    public_endpoint: Option<String> = "", Optional(Endpoint);
    /// Time that SIGTERM leaves to running transfers; transfers that take longer are cut. 0 cuts
    /// them at once. Give the service manager or container engine a longer stop timeout than this
    /// one.
    drain_timeout: Duration = "60", Seconds { min: 0, max: DAY_S };
    /// Time that a reload (SIGUSR2) leaves to transfers of the process that is replaced; transfers
    /// that take longer are cut. The default of six hours suffices for large images over slow
    /// links. The old process needs memory for as long.
    reload_timeout: Duration = "21600", Seconds { min: 0, max: DAY_S };
    /// Address of the admin listener, which serves /metrics, /healthcheck and /status and accepts
    /// the commands of glance-scrubber. Keep it out of reach of tenants.
    admin_bind_host: IpAddr = "127.0.0.1", Address;
    /// Port of the admin listener; 0 turns the listener off. Without it there are no metrics, and
    /// glance-scrubber cannot ask a running server. A registry server uses 9192 unless this option
    /// is set.
    admin_bind_port: u16 = "9293", Int::<u16>::new(0, 65_535, "");
    /// Connections that the admin listener serves at the same time. Further connections wait in
    /// the kernel. The limit keeps a runaway monitoring system from using up the server's file
    /// descriptors.
    admin_max_connections: usize = "128", Int::<usize>::new(1, 1_000_000, "");
}

impl ListenConfig {
    /// Returns the address of the API.
    pub fn api_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_host, self.bind_port)
    }

    /// Returns the address of the admin listener; `None` if it is off.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        let on = self.admin_bind_port != 0;
        on.then(|| SocketAddr::new(self.admin_bind_host, self.admin_bind_port))
    }
}

options! {
    /// Limits of a client connection.
    pub struct HttpConfig, "DEFAULT", "Connections";

    /// Time without any progress after which a connection is closed: while the head of a request
    /// arrives, during an upload and during a download. 0 never closes a connection for this
    /// reason.
    client_socket_timeout: Option<Duration> = "60", SecondsOrOff { max: DAY_S };
    /// Average rate that a client must reach when it sends an upload or receives a download,
    /// measured over half a minute of waiting for that client. Slower clients are disconnected, so
    /// that clients that send a byte now and then cannot hold connections. 0 turns the rule off.
    client_min_rate: u64 = "1024", Int::<u64>::new(0, 1 << 40, "bytes a second");
    /// Longest time that the server reads and discards data of a client whose request was refused.
    /// Closing at once would reset the connection, and the client would lose the response. 0
    /// closes at once.
    client_linger_timeout: Duration = "10", Seconds { min: 0, max: DAY_S };
    /// Allows a connection to carry more than one request. Turn it off only when a proxy in front
    /// reuses connections wrongly.
    http_keepalive: bool = "true", Flag;
    /// Largest head of a request (request line and all headers). A larger one is answered with
    /// 431. Raise it when clients send many properties or large tokens.
    max_header_size: usize = "65536", Int::<usize>::new(8_192, 1 << 20, "bytes");
    /// Largest single header line, name included. A longer one is answered with 400. It cannot
    /// exceed max_header_size.
    max_header_line: usize = "16384", Int::<usize>::new(1_024, 1 << 20, "bytes");
    /// Longest request id that a client may send in X-Openstack-Request-Id; a longer one is
    /// answered with 431. The id appears in the response and in the log, prefixed with `req-` if
    /// the client left the prefix out.
    max_request_id_length: usize = "64", Int::<usize>::new(1, 1_024, "characters");
}

options! {
    /// Options of the health check, `/healthcheck`.
    pub struct HealthcheckConfig, "healthcheck", "Health check";

    /// While this file exists, /healthcheck answers 503, so that a load balancer takes the server
    /// out of service while running transfers continue. When it is empty, /healthcheck reports
    /// only the state of the server itself.
    disable_by_file_path: Option<PathBuf> = "", Optional(FilePath), also [
        ("oslo_middleware", "disable_by_file_path"),
        ("oslo_middleware", "healthcheck_disable_by_file_path"),
        ("app:healthcheck", "disable_by_file_path"),
        ("DEFAULT", "disable_by_file"),
    ];
}
