//! Addresses of our own.

use std::net::SocketAddr;

use socket2::Socket;

use super::start_error::StartError;
use crate::net::{ListenOptions, bind, check_free};

/// Listening sockets of one address, one a worker.
pub(super) struct Listeners {
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<Socket>,
}

impl Listeners {
    /// Takes an address that nobody else has. From then on the kernel accepts connections,
    /// which wait until they are served.
    pub(super) fn claim(
        address: SocketAddr,
        count: usize,
        options: ListenOptions,
    ) -> Result<Self, StartError> {
        check_free(address)?;
        let first = bind(address, options)?;
        // Port 0 became another one.
        let bound = first.local_addr().ok().and_then(|bound| bound.as_socket());
        let address = bound.unwrap_or(address);
        let mut sockets = vec![first];
        for _ in 1..count {
            sockets.push(bind(address, options)?);
        }
        Ok(Self { address, sockets })
    }
}
