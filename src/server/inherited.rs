//! What a process gets from the one that started it: listening sockets, and, when it is to
//! take over from a running server, a socket to that one.
//!
//! Sockets come from a server that reloads (`GLANCE_HANDOVER`) or from systemd's socket
//! activation (`LISTEN_FDS`, sd_listen_fds(3)). Each is used for the address it is bound to;
//! what the configuration does not name is closed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};
use socket2::Socket;
use uuid::Uuid;

use crate::registry::{MessageError, read_message, write_message};

/// Where a server tells its successor what it hands over: `PID SOCKET LISTENER...`.
pub(super) const HANDOVER: &str = "GLANCE_HANDOVER";

/// The first descriptor of systemd's socket activation.
const FIRST_ACTIVATED: RawFd = 3;

/// What the new process says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum NewSays {
    /// It has everything but the registry.
    Prepared,
    /// It serves.
    Ready,
}

/// What the old process says, before it asks for records.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum OldSays {
    /// The registry is closed and can be opened.
    Granted {
        /// Uploads that go on in the processes before.
        uploads: Vec<Uuid>,
    },
}

/// What this process was given.
#[derive(Default)]
pub(super) struct Inheritance {
    listeners: Vec<(SocketAddr, Socket)>,
    /// The server that is to be taken over from.
    pub(super) predecessor: Option<Predecessor>,
}

/// A server that hands over to this one.
pub(super) struct Predecessor {
    socket: UnixStream,
    /// Uploads that go on there, and in those before it.
    pub(super) uploads: Vec<Uuid>,
}

impl Inheritance {
    /// Takes what was given to this process. To be called once, before it opens anything.
    ///
    /// # Errors
    /// When what was announced is not there.
    pub(super) fn of_process() -> io::Result<Self> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let mut inheritance = Self::default();
        let words = variable(HANDOVER);
        let mut fds = handed_over(&words, std::os::unix::process::parent_id());
        if let Some(socket) = fds.next() {
            let socket = UnixStream::from(adopt(socket)?);
            inheritance.predecessor = Some(Predecessor {
                socket,
                uploads: Vec::new(),
            });
        }
        let activated = activated(&variable("LISTEN_PID"), &variable("LISTEN_FDS"));
        for fd in fds.chain(activated) {
            let socket = Socket::from(adopt(fd)?);
            if let Some(address) = socket.local_addr()?.as_socket() {
                inheritance.listeners.push((address, socket));
            }
        }
        Ok(inheritance)
    }

    /// The socket that listens on this address, if there is one.
    pub(super) fn listener(&mut self, address: SocketAddr) -> Option<Socket> {
        let is_at = |(at, _): &(SocketAddr, Socket)| *at == address;
        let place = self.listeners.iter().position(is_at)?;
        Some(self.listeners.swap_remove(place).1)
    }
}

/// The descriptors that our parent announces; none when the words are not meant for us.
fn handed_over(words: &str, parent: u32) -> impl Iterator<Item = RawFd> {
    let mut numbers = words.split(' ').map_while(|word| word.parse::<i64>().ok());
    let is_ours = numbers.next() == Some(i64::from(parent));
    let fds = numbers.filter_map(|number| RawFd::try_from(number).ok());
    fds.filter(move |_| is_ours)
}

fn activated(pid: &str, count: &str) -> std::ops::Range<RawFd> {
    let is_ours = pid.parse() == Ok(std::process::id());
    let count: RawFd = count.parse().unwrap_or(0);
    let count = if is_ours { count.clamp(0, 64) } else { 0 };
    FIRST_ACTIVATED..FIRST_ACTIVATED + count
}

/// Owns a descriptor that was left open for us, and keeps it from processes that we start.
fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks about a number and sets a flag; that of a closed one fails.
    if fd < FIRST_ACTIVATED || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        let message = format!("descriptor {fd} was announced and is not open");
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    // SAFETY: it is open, and nothing of this process has opened it: we are called before
    // anything is, and take each announced descriptor once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Predecessor {
    /// Has the registry closed over there, and hears of the uploads that go on.
    ///
    /// # Errors
    /// When the other process has ended.
    pub(super) fn claim_registry(&mut self) -> Result<(), MessageError> {
        write_message(&mut self.socket, &NewSays::Prepared)?;
        let OldSays::Granted { uploads } = read_message(&mut self.socket)?;
        self.uploads = uploads;
        Ok(())
    }

    /// Tells that this process serves. From then on the other end asks for records.
    ///
    /// # Errors
    /// When the other process has ended.
    pub(super) fn ready(mut self) -> Result<UnixStream, MessageError> {
        write_message(&mut self.socket, &NewSays::Ready)?;
        Ok(self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_for_us() {
        let fds = |words, parent| handed_over(words, parent).collect::<Vec<_>>();
        assert_eq!(fds("7 8 9 10", 7), [8, 9, 10]);
        assert!(fds("7 8 9", 6).is_empty());
        assert!(fds("", 7).is_empty());
        assert_eq!(fds("7 8 x 9", 7), [8]);
        let own = std::process::id().to_string();
        assert_eq!(activated(&own, "2"), 3..5);
        assert!(activated("1", "2").is_empty() && activated(&own, "").is_empty());
        assert_eq!(activated(&own, "1000000"), 3..67);
    }

    #[test]
    fn what_is_not_open_is_not_adopted() {
        assert!(adopt(1 << 20).is_err());
        assert!(adopt(0).is_err());
    }
}
