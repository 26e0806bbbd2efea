//! Addresses of our own.

use std::net::SocketAddr;

use socket2::Socket;

use super::inherited::Inheritance;
use crate::net::{ListenError, ListenOptions, adopt, bind};

/// A listening socket and its address.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) socket: Socket,
}

impl Listener {
    /// Takes an address that nobody else has, or the socket that was inherited for it. From
    /// then on the kernel accepts connections, which wait until they are served.
    pub(super) fn claim(
        address: SocketAddr,
        options: ListenOptions,
        inheritance: &mut Inheritance,
    ) -> Result<Self, ListenError> {
        let socket = match inheritance.listener(address) {
            Some(socket) => adopt(socket, address, options)?,
            None => bind(address, options)?,
        };
        // Port 0 became another one.
        let bound = socket.local_addr().ok().and_then(|bound| bound.as_socket());
        Ok(Self {
            address: bound.unwrap_or(address),
            socket,
        })
    }
}
