//! What the tests outside the crate share: the real server and a client that hides nothing.
//!
//! A test binary takes it in with
//!
//! ```text
//! #[path = "../support/mod.rs"]
//! mod support;
//! ```
//!
//! * [`server`] starts the real `glance-api` with a written configuration in a folder of its
//!   own, on free loopback ports, with its log in a file; ends it by its own process id;
//!   starts it again on the same data.
//! * [`http`] speaks HTTP/1.1 over a plain socket: the bytes that are sent are the bytes the
//!   test wrote, and every status, header and body byte of an answer can be seen.
//! * [`v1`] has the few words of the v1 API that every test needs: create, upload, head.
//! * [`backends`] starts the real servers behind a node: Swift, S3 and Keystone.
//! * [`gate`] stands before one of them and cuts, stalls or refuses.
//! * [`origin`] is a server of HTTP that does what none of them can be made to do.
//!
//! Nothing here decides what is right; that is for the tests to say.

// Each test binary uses a part of this.
#![allow(dead_code)]

pub mod backends;
pub mod gate;
pub mod http;
pub mod origin;
pub mod ports;
pub mod server;
pub mod v1;

use std::time::{Duration, Instant};

/// Longest time a test waits for something that is bound to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Looks again and again until `found` sees it.
///
/// # Panics
/// When it has not come within [`PATIENCE`]; `what` says what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// MD5 as Glance writes checksums: 32 lower-case hexadecimal digits.
pub fn md5_hex(bytes: &[u8]) -> String {
    use md5::Digest;
    hex(&md5::Md5::digest(bytes))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that differ from place to place, the same for the same seed.
pub fn pattern(len_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len_bytes + 8);
    while bytes.len() < len_bytes {
        // Xorshift (Marsaglia, 2003): quick, and no block of it is like another.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len_bytes);
    bytes
}

/// A name that no other test of this process has.
pub fn unique(word: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{word}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
