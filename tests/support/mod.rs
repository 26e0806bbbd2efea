//! Code that the integration tests share: it starts the real programs and talks to them.
//!
//! A test binary includes it with
//!
//! ```text
//! #[path = "../support/mod.rs"]
//! mod support;
//! ```
//!
//! * [`setup`] describes a server before its start: options, folders, and restrictions.
//! * [`server`] starts the real `glance-api` with a configuration file in its own folder, on free
//!   loopback ports, with its log in a file; stops it by its process id; restarts it on the same
//!   data.
//! * [`http`] is an HTTP/1.1 client over a plain socket. It sends exactly the bytes of the test and
//!   shows every byte of a response.
//! * [`v1`] has the requests of the v1 API that most tests need: create, upload, head.
//! * [`backends`] starts the real backends of a server: Swift, S3 and Keystone.
//! * [`other_registry`] is a registry server without the extensions of this project.
//! * [`late_writes`] is a proxy in front of a registry server that delays writes.
//! * [`etcd`] starts etcd with one or more members, with or without TLS and users.
//! * [`authority`] issues certificates.
//! * [`gate`] is a proxy in front of a backend that cuts, stalls or refuses connections.
//! * [`origin`] is a scripted HTTP server, for behaviour that real servers do not show on demand.
//! * [`program`] runs the other programs and waits for their end.
//! * [`scrubber`] runs the real `glance-scrubber` with the configuration of a server.
//! * [`traffic`] generates requests of which none may fail.
//! * [`skip`] reports a test that this machine cannot run.
//! * [`disk`] is a small file system that tests fill or cut off from power.
//!
//! This code makes no assertions about the behaviour under test; the tests do.

// Each test binary uses a part of this.
#![allow(dead_code, unused_imports)]

pub mod authority;
pub mod backends;
pub mod bytes;
pub mod disk;
pub mod etcd;
pub mod files;
pub mod gate;
pub mod guarded;
pub mod http;
pub mod late_writes;
mod launch;
pub mod origin;
pub mod other_registry;
pub mod ports;
pub mod process;
pub mod program;
pub mod scrubber;
mod seccomp;
pub mod server;
pub mod setup;
mod skip;
pub mod traffic;
pub mod v1;

use std::time::{Duration, Instant};

pub use bytes::{hex, md5_hex, pattern};
pub use skip::skip;

/// Longest time that a test waits for an expected event on a busy machine. It is shorter than the
/// 60 s after which a server disconnects a silent client.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// Polls until `found` returns a value.
///
/// # Panics
/// Panics with `what` if there is none within [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let mut seen = None;
    within(PATIENCE, what, || {
        seen = found();
        seen.is_some()
    });
    seen.expect("it was seen")
}

/// Polls until the condition holds.
///
/// # Panics
/// Panics with `what` if it does not hold within `limit`.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns a name that no other test of this process uses.
pub fn unique(word: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{word}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
