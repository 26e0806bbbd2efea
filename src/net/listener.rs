//! Listening sockets: creates them, or adopts those that another process has opened.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

/// A socket that could not be set up to listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct ListenError {
    /// The address to listen on.
    pub address: SocketAddr,
    /// The system's error.
    #[source]
    pub cause: io::Error,
}

/// Options of a listening socket and of the connections it accepts.
#[derive(Debug, Clone, Copy)]
pub struct ListenOptions {
    /// Most connections that the kernel queues until they are accepted (listen(2)).
    pub backlog: i32,
    /// Idle time before the kernel sends TCP keepalive probes (TCP_KEEPIDLE, tcp(7)).
    pub keepalive_idle: Duration,
}

/// Opens a socket that listens on `address`.
///
/// # Errors
/// [`ListenError`] if the address is in use, is not one of this machine, or is not permitted.
pub fn bind(address: SocketAddr, options: ListenOptions) -> Result<Socket, ListenError> {
    listen(address, options).map_err(|cause| ListenError { address, cause })
}

/// Applies the options to a socket that was opened by another process (the predecessor of a
/// reload, or systemd) and may already listen.
///
/// # Errors
/// [`ListenError`] if the system refuses an option.
pub fn adopt(
    socket: Socket,
    address: SocketAddr,
    options: ListenOptions,
) -> Result<Socket, ListenError> {
    let set_up = set_up(&socket, options).and_then(|()| socket.listen(options.backlog));
    set_up.map_err(|cause| ListenError { address, cause })?;
    Ok(socket)
}

/// Sets options. Accepted sockets inherit TCP_NODELAY and the keepalive time.
fn set_up(socket: &Socket, options: ListenOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(options.keepalive_idle))?;
    socket.set_nonblocking(true)
}

fn listen(address: SocketAddr, options: ListenOptions) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Allows a restart while old connections are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    set_up(&socket, options)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(options.backlog)?;
    Ok(socket)
}
