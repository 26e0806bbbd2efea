//! Free loopback ports for servers.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports below the range that Linux uses for outgoing connections, so that no client of another
/// test takes one between the check and the start of the server.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// Returns a port of 127.0.0.1 without a listener, never the same twice in one process. Each
/// process starts its search at a different port.
///
/// # Panics
/// Panics if none is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (u64::from(std::process::id()) * 131 % u64::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_add(step) % COUNT);
        if is_ours(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port from {FIRST} to {}", FIRST + COUNT);
}

/// Reserves a port for this process until the process ends. Returns false if another test process
/// has reserved it for a server that it will start.
fn is_ours(port: u16) -> bool {
    static TAKEN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let name = SocketAddr::from_abstract_name(format!("glance-test-port-{port}"));
    let taken = UnixListener::bind_addr(&name.expect("a short name"));
    let is_ours = taken.is_ok();
    TAKEN.lock().expect("no panic").extend(taken.ok());
    is_ours
}
