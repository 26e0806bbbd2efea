//! The listening sockets of a server: inherited or bound.

use std::net::SocketAddr;

use socket2::Socket;

use crate::net::{ListenError, ListenOptions, adopt, bind};
use crate::server::inherited::Inheritance;

/// A listening socket and its address.
pub(in crate::server) struct Listener {
    pub(in crate::server) address: SocketAddr,
    pub(in crate::server) socket: Socket,
}

impl Listener {
    /// Takes the inherited socket for `address`, or binds a new one. From then on the kernel
    /// completes handshakes, and the connections wait in its queue until they are accepted.
    ///
    /// # Errors
    /// When the address cannot be bound, for example because it is in use.
    pub(in crate::server) fn claim(
        address: SocketAddr,
        options: ListenOptions,
        inheritance: &mut Inheritance,
    ) -> Result<Self, ListenError> {
        let socket = match inheritance.listener(address) {
            Some(socket) => adopt(socket, address, options)?,
            None => bind(address, options)?,
        };
        // For port 0 the kernel has chosen the port.
        let bound = socket.local_addr().ok().and_then(|bound| bound.as_socket());
        Ok(Self {
            address: bound.unwrap_or(address),
            socket,
        })
    }
}
