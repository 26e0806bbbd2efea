//! The descriptors that a process inherits: listening sockets, and, in a successor, a socket to
//! its predecessor.
//!
//! They come from a server that reloads (`GLANCE_HANDOVER`) or from systemd's socket activation
//! (`LISTEN_FDS`, sd_listen_fds(3)). A socket is used for the configured address that it is bound
//! to, and closed if no configured address matches.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};
use socket2::Socket;
use uuid::Uuid;

use crate::registry::{MessageError, read_message, write_message};

/// The environment variable in which a server announces the descriptors to its successor, as
/// `PID SOCKET LISTENER...`. PID is the predecessor's, so that a copy of the variable in another
/// process' environment has no effect.
pub(super) const HANDOVER: &str = "GLANCE_HANDOVER";

/// The first descriptor of systemd's socket activation.
const FIRST_ACTIVATED: RawFd = 3;

/// The most descriptors that are accepted from socket activation.
const MAX_ACTIVATED: RawFd = 64;

/// A message from the successor to the predecessor.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SuccessorMessage {
    /// Every component except the registry is ready.
    Prepared,
    /// The successor serves.
    Ready,
}

/// A message from the predecessor to the successor. After it the socket carries the registry
/// requests of the predecessor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum PredecessorMessage {
    /// The registry is closed and may be opened.
    Granted {
        /// Uploads that continue in the predecessor and in its own predecessors.
        uploads: Vec<Uuid>,
    },
}

/// The descriptors that this process has inherited.
#[derive(Default)]
pub(super) struct Inheritance {
    listeners: Vec<(SocketAddr, Socket)>,
    pub(super) predecessor: Option<Predecessor>,
}

/// The server that hands over to this process.
pub(super) struct Predecessor {
    socket: UnixStream,
    /// Uploads that continue there and in its own predecessors. Empty until
    /// [`Predecessor::claim_registry`] has returned.
    pub(super) uploads: Vec<Uuid>,
}

impl Inheritance {
    /// Takes ownership of the announced descriptors. Must be called once, before the process
    /// opens anything.
    ///
    /// # Errors
    /// When an announced descriptor is not open.
    pub(super) fn of_process() -> io::Result<Self> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let mut inheritance = Self::default();
        let announcement = variable(HANDOVER);
        let mut fds = announced_fds(&announcement, std::os::unix::process::parent_id());
        if let Some(socket) = fds.next() {
            let socket = UnixStream::from(adopt(socket)?);
            inheritance.predecessor = Some(Predecessor {
                socket,
                uploads: Vec::new(),
            });
        }
        let activated = activated_fds(&variable("LISTEN_PID"), &variable("LISTEN_FDS"));
        for fd in fds.chain(activated) {
            let socket = Socket::from(adopt(fd)?);
            if let Some(address) = socket.local_addr()?.as_socket() {
                inheritance.listeners.push((address, socket));
            }
        }
        Ok(inheritance)
    }

    /// Removes and returns the socket that is bound to this address.
    pub(super) fn listener(&mut self, address: SocketAddr) -> Option<Socket> {
        let is_bound_to = |(bound, _): &(SocketAddr, Socket)| *bound == address;
        let index = self.listeners.iter().position(is_bound_to)?;
        Some(self.listeners.swap_remove(index).1)
    }
}

/// Parses an announcement of the parent process. Yields nothing if another process made it.
fn announced_fds(announcement: &str, parent: u32) -> impl Iterator<Item = RawFd> {
    let mut numbers = announcement
        .split(' ')
        .map_while(|word| word.parse::<i64>().ok());
    let is_ours = numbers.next() == Some(i64::from(parent));
    let fds = numbers.filter_map(|number| RawFd::try_from(number).ok());
    fds.filter(move |_| is_ours)
}

/// Returns the descriptors of socket activation, if it is meant for this process.
fn activated_fds(pid: &str, count: &str) -> std::ops::Range<RawFd> {
    let is_ours = pid.parse() == Ok(std::process::id());
    let count: RawFd = count.parse().unwrap_or(0);
    let count = if is_ours {
        count.clamp(0, MAX_ACTIVATED)
    } else {
        0
    };
    FIRST_ACTIVATED..FIRST_ACTIVATED + count
}

/// Takes ownership of an inherited descriptor and marks it close-on-exec.
fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // An `OwnedFd` of a closed descriptor would be unsound, so its existence is checked first.
    let is_open = std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok();
    if fd < FIRST_ACTIVATED || !is_open {
        let message = format!("inherited descriptor {fd} was announced but is not open");
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    // SAFETY: the descriptor is open, and this process has not opened it: `of_process` runs
    // before anything else is opened and adopts each announced descriptor once.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl_setfd(&owned, FdFlags::CLOEXEC)?;
    Ok(owned)
}

impl Predecessor {
    /// Requests the registry, and waits until the predecessor has closed it. Stores the uploads
    /// that continue there.
    ///
    /// # Errors
    /// When the predecessor has ended.
    pub(super) fn claim_registry(&mut self) -> Result<(), MessageError> {
        write_message(&mut self.socket, &SuccessorMessage::Prepared)?;
        let PredecessorMessage::Granted { uploads } = read_message(&mut self.socket)?;
        self.uploads = uploads;
        Ok(())
    }

    /// Reports that this process serves. Returns the socket, on which the predecessor sends
    /// registry requests from then on.
    ///
    /// # Errors
    /// When the predecessor has ended.
    pub(super) fn ready(mut self) -> Result<UnixStream, MessageError> {
        write_message(&mut self.socket, &SuccessorMessage::Ready)?;
        Ok(self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_to_other_processes_are_ignored() {
        let fds = |words, parent| announced_fds(words, parent).collect::<Vec<_>>();
        assert_eq!(fds("7 8 9 10", 7), [8, 9, 10]);
        assert!(fds("7 8 9", 6).is_empty());
        assert!(fds("", 7).is_empty());
        assert_eq!(fds("7 8 x 9", 7), [8]);
        let own = std::process::id().to_string();
        assert_eq!(activated_fds(&own, "2"), 3..5);
        assert!(activated_fds("1", "2").is_empty() && activated_fds(&own, "").is_empty());
        assert_eq!(activated_fds(&own, "1000000"), 3..67);
    }

    #[test]
    fn closed_and_standard_descriptors_are_not_adopted() {
        assert!(adopt(1 << 20).is_err());
        assert!(adopt(0).is_err());
    }
}
