//! Addresses of our own.

use std::net::SocketAddr;

use socket2::Socket;

use crate::net::{ListenError, ListenOptions, bind};

/// A listening socket and its address.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) socket: Socket,
}

impl Listener {
    /// Takes an address that nobody else has. From then on the kernel accepts connections,
    /// which wait until they are served.
    pub(super) fn claim(address: SocketAddr, options: ListenOptions) -> Result<Self, ListenError> {
        let socket = bind(address, options)?;
        // Port 0 became another one.
        let bound = socket.local_addr().ok().and_then(|bound| bound.as_socket());
        Ok(Self {
            address: bound.unwrap_or(address),
            socket,
        })
    }
}
