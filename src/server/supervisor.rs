//! Telling systemd how a server is (sd_notify(3)): `Type=notify` units.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::log;

/// Who started this process, if that wants to know how it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Supervisor {
    address: Option<OsString>,
}

impl Supervisor {
    /// The one that `NOTIFY_SOCKET` names.
    pub(super) fn of_process() -> Self {
        Self {
            address: std::env::var_os("NOTIFY_SOCKET"),
        }
    }

    /// It serves.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// It accepts no more and finishes what is in flight, which may take so long.
    pub(super) fn stopping(&self, at_most: Duration) {
        self.tell(&format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={}",
            at_most.as_micros()
        ));
    }

    /// A successor is being started.
    pub(super) fn reloading(&self) {
        self.tell("RELOADING=1");
    }

    /// The successor serves, and is the one to watch from now on. Said by this process, since
    /// only the main process of a unit is listened to.
    pub(super) fn replaced_by(&self, pid: u32) {
        self.tell(&format!("MAINPID={pid}\nREADY=1"));
    }

    fn tell(&self, state: &str) {
        if let Some(address) = &self.address
            && let Err(error) = send(address.as_bytes(), state)
        {
            tracing::warn!(target: log::STARTUP, %error, "systemd cannot be told: {state:?}");
        }
    }
}

fn send(address: &[u8], state: &str) -> io::Result<()> {
    let address = match address.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(address))?,
    };
    let sent = UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    debug_assert_eq!(sent, state.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("glance-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, address) in [
            (UnixDatagram::bind(&path), path.clone().into_os_string()),
            (
                UnixDatagram::bind_addr(&abstract_address),
                format!("@{name}").into(),
            ),
        ] {
            let socket = socket.unwrap();
            let supervisor = Supervisor {
                address: Some(address),
            };
            supervisor.replaced_by(7);
            let mut said = [0; 64];
            let len = socket.recv(&mut said).unwrap();
            assert_eq!(&said[..len], b"MAINPID=7\nREADY=1");
        }
        Supervisor::default().ready();
    }
}
