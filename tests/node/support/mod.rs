//! What the tests stand on: a server to start, a client that hides nothing, a disk to fill.

pub mod bytes;
pub mod disk;
pub mod launch;
pub mod node;
pub mod ports;
pub mod process;
pub mod seccomp;
pub mod wire;

use std::time::{Duration, Instant};

/// How long anything may take that the tests wait for without a limit of its own.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something to become true; `what` is for the message when it does not.
pub fn eventually(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Says loudly that this machine cannot run a test. Under `GLANCE_TEST_STRICT` that is a
/// failure, so that a machine which should be able to cannot pass by being broken.
pub fn skip(test: &str, because: &str) {
    eprintln!("SKIPPED {test}: {because}");
    assert!(
        std::env::var_os("GLANCE_TEST_STRICT").is_none(),
        "{test} cannot run here, and GLANCE_TEST_STRICT allows no skipping: {because}"
    );
}
