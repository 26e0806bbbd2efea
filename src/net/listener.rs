//! Listening sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

/// A socket could not be made to listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct ListenError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub cause: io::Error,
}

/// What a listening socket hands on to the connections it accepts.
#[derive(Debug, Clone, Copy)]
pub struct ListenOptions {
    /// Connections the kernel holds until they are accepted.
    pub backlog: i32,
    /// Idle time after which the kernel asks whether the peer is still there.
    pub keepalive_idle: Duration,
}

/// A listening socket.
///
/// # Errors
/// [`ListenError`] with the address: in use, not ours, not allowed.
pub fn bind(address: SocketAddr, options: ListenOptions) -> Result<Socket, ListenError> {
    listen(address, options).map_err(|cause| ListenError { address, cause })
}

/// Sets up a socket that listens already, in another process perhaps.
///
/// # Errors
/// [`ListenError`] with the address.
pub fn adopt(
    socket: Socket,
    address: SocketAddr,
    options: ListenOptions,
) -> Result<Socket, ListenError> {
    let set_up = set_up(&socket, options).and_then(|()| socket.listen(options.backlog));
    set_up.map_err(|cause| ListenError { address, cause })?;
    Ok(socket)
}

/// What accepted sockets inherit, and what ours needs.
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
    // For a restart while old connections linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    set_up(&socket, options)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(options.backlog)?;
    Ok(socket)
}
