//! What the tests outside the crate share: the real server and a client that hides nothing.
//!
//! A test binary takes it in with
//!
//! ```text
//! #[path = "../support/mod.rs"]
//! mod support;
//! ```
//!
//! * [`setup`] says how a server is to be: its options, its folders, what the system may
//!   refuse to it.
//! * [`server`] starts the real `glance-api` with a written configuration in a folder of its
//!   own, on free loopback ports, with its log in a file; ends it by its own process id;
//!   starts it again on the same data.
//! * [`http`] speaks HTTP/1.1 over a plain socket: the bytes that are sent are the bytes the
//!   test wrote, and every status, header and body byte of an answer can be seen.
//! * [`v1`] has the few words of the v1 API that every test needs: create, upload, head.
//! * [`backends`] starts the real servers behind a node: Swift, S3 and Keystone.
//! * [`other_registry`] is a registry server of another make.
//! * [`late_writes`] stands before a registry server and has writes arrive late.
//! * [`etcd`] starts etcd, one member or several, with or without TLS and users.
//! * [`authority`] issues certificates.
//! * [`gate`] stands before one of them and cuts, stalls or refuses.
//! * [`origin`] is a server of HTTP that does what none of them can be made to do.
//! * [`program`] runs the other programs beside a server to their end.
//! * [`scrubber`] runs the real `glance-scrubber` beside a server.
//! * [`traffic`] is everyday traffic at a server, of which nothing may fail.
//! * [`skip`] reports a test that this machine cannot run.
//! * [`disk`] is a small file system of our own, to be filled or to lose its power.
//!
//! Nothing here decides what is right; that is for the tests to say.

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

/// Longest time a test waits for something that is bound to happen, on a machine that has
/// much else to do; less than the 60 s after which a server gives up a silent client.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// Looks again and again until `found` sees it.
///
/// # Panics
/// When it has not come within [`PATIENCE`]; `what` says what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let mut seen = None;
    within(PATIENCE, what, || {
        seen = found();
        seen.is_some()
    });
    seen.expect("it was seen")
}

/// Looks again and again until it is so.
///
/// # Panics
/// When it is not within `limit`; `what` says what was waited for.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A name that no other test of this process has.
pub fn unique(word: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{word}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
