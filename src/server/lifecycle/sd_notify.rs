//! Status messages to systemd for units of `Type=notify` (sd_notify(3)).

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::log;

/// The notification socket, if the process was started by a service manager that has one.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct SdNotify {
    address: Option<OsString>,
}

impl SdNotify {
    /// Reads the address from `NOTIFY_SOCKET`.
    pub(in crate::server) fn of_process() -> Self {
        Self {
            address: std::env::var_os("NOTIFY_SOCKET"),
        }
    }

    /// Reports that the server accepts requests, also after a failed reload.
    pub(in crate::server) fn ready(&self) {
        self.send("READY=1");
    }

    /// Reports that the server shuts down and drains for at most `limit`.
    pub(in crate::server) fn stopping(&self, limit: Duration) {
        self.send(&format!(
            "STOPPING=1\nEXTEND_TIMEOUT_USEC={}",
            limit.as_micros()
        ));
    }

    /// Reports that a successor is being started.
    pub(in crate::server) fn reloading(&self) {
        self.send("RELOADING=1");
    }

    /// Reports that the successor is the main process from now on. The predecessor sends this,
    /// because systemd ignores messages from other processes than the main one.
    pub(in crate::server) fn replaced_by(&self, pid: u32) {
        self.send(&format!("MAINPID={pid}\nREADY=1"));
    }

    fn send(&self, state: &str) {
        if let Some(address) = &self.address
            && let Err(error) = send(address.as_bytes(), state)
        {
            tracing::warn!(target: log::STARTUP, %error, "cannot notify systemd of {state:?}");
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
    fn message_reaches_path_and_abstract_socket() {
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
            let sd_notify = SdNotify {
                address: Some(address),
            };
            sd_notify.replaced_by(7);
            let mut received = [0; 64];
            let len = socket.recv(&mut received).unwrap();
            assert_eq!(&received[..len], b"MAINPID=7\nREADY=1");
        }
        // Without a socket nothing is sent and nothing fails.
        SdNotify::default().ready();
    }
}
