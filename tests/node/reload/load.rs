//! Reloads under load: 2,000 requests per second, 50 downloads and some uploads in flight, none of
//! which may fail.
//!
//! `GLANCE_RELOAD_ROUNDS=20 cargo test --release --test node reload::load -- --nocapture` runs
//! more rounds than the default, at the full rate, which a debug build does not reach.

use std::thread;
use std::time::{Duration, Instant};

use super::LIMIT;
use crate::support::server::Setup;
use crate::support::traffic::{Load, Traffic};

const ROUNDS: u32 = 3;
/// Pause between two reloads.
const PAUSE: Duration = Duration::from_millis(700);

const LOAD: Load = Load {
    requests_per_s: 2_000,
    askers: 8,
    downloads: 50,
    uploads: 4,
};

#[test]
fn reload_under_load_fails_no_request() {
    let wanted = std::env::var("GLANCE_RELOAD_ROUNDS").ok();
    let rounds = wanted.as_ref().map_or(ROUNDS, |rounds| {
        rounds.parse().expect("GLANCE_RELOAD_ROUNDS is a number")
    });
    let mut server = Setup::new().with_pid_file().start();
    let traffic = Traffic::at(&server);
    let per_s = traffic.during(&LOAD, || {
        let (began, before) = (Instant::now(), traffic.requests());
        for round in 1..=rounds {
            thread::sleep(PAUSE);
            let in_flight = traffic.in_flight();
            traffic.take_longest();
            server.reload();
            thread::sleep(PAUSE);
            let longest = traffic.take_longest();
            eprintln!(
                "reload {round}: {in_flight} downloads in flight, slowest request {longest:?}"
            );
        }
        (traffic.requests() - before) as f64 / began.elapsed().as_secs_f64()
    });
    eprintln!("{rounds} reloads at {per_s:.0} requests/s");
    traffic.expect_no_failure();
    if wanted.is_some() {
        // Requests are sent at this rate; after a delay, faster.
        let pace = f64::from(LOAD.requests_per_s) * 0.99;
        assert!(per_s >= pace, "{per_s:.0} requests/s: the load was less");
    }
    server.await_retired(LIMIT);
    assert_eq!(server.status_of(traffic.id()), "active");
}
