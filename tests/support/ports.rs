//! Loopback ports for servers.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to outgoing connections, so that no client of another
/// test can sit on one between our look at it and the server's start.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port of 127.0.0.1 on which nobody listens. Never twice the same in one process;
/// processes start at places of their own.
///
/// # Panics
/// When none is free.
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

/// Whether no other test process has taken a port for a server that it has yet to start. Ours
/// from then on, until this process ends, however it does.
fn is_ours(port: u16) -> bool {
    static TAKEN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let name = SocketAddr::from_abstract_name(format!("glance-test-port-{port}"));
    let taken = UnixListener::bind_addr(&name.expect("a short name"));
    let is_ours = taken.is_ok();
    TAKEN.lock().expect("no panic").extend(taken.ok());
    is_ours
}
