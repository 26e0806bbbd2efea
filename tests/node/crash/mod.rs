//! kill -9 and power cuts under load: no acknowledged change is lost, and no garbage remains.
//!
//! Each round starts the server on the data of the previous rounds, runs all client operations
//! (create, reserve, upload later, rename, delete, list, download), kills the server at a random
//! time and restarts it. Then every image that was ever named is checked: acknowledged changes
//! are present, a change in flight is either done or not, and the store contains the files of
//! active images and no other byte.
//!
//! The command for a hundred rounds, with totals at the end:
//!
//! ```text
//! GLANCE_CRASH_ROUNDS=100 cargo test --release --test node crash -- --nocapture
//! ```
//!
//! `GLANCE_CRASH_SEED` repeats the choices of a run; the seed of each run is printed. It also
//! determines the times of the kills, but not the state of the disk at those times.

mod check;
mod ledger;
mod load;
mod power_cut;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::check::{Checked, check};
use self::ledger::Ledger;
use self::load::{CAP_BYTES, End, Load};
use crate::support::bytes::Chance;
use crate::support::server::{Server, Setup};

/// Default of `GLANCE_CRASH_ROUNDS`.
const ROUNDS: u64 = 8;

/// Totals of a run.
#[derive(Debug, Default)]
struct Totals {
    rounds: u64,
    acknowledged: u64,
    under_way: u64,
    downloads: u64,
    killed_again: u64,
    last: Checked,
}

fn rounds() -> u64 {
    let rounds = std::env::var("GLANCE_CRASH_ROUNDS").ok();
    rounds.map_or(ROUNDS, |rounds| {
        rounds.parse().expect("GLANCE_CRASH_ROUNDS is a number")
    })
}

fn seed() -> u64 {
    let given = std::env::var("GLANCE_CRASH_SEED").ok();
    let seed = given.map_or_else(
        || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.expect("a time after 1970").as_nanos() as u64
        },
        |seed| seed.parse().expect("GLANCE_CRASH_SEED is a number"),
    );
    eprintln!("GLANCE_CRASH_SEED={seed}");
    seed
}

/// Returns the I/O engine and disk mode of a round: all combinations in turn.
fn variant(round: u64) -> (&'static str, &'static str) {
    let uring = if round.is_multiple_of(2) {
        "auto"
    } else {
        "threads"
    };
    let io = if (round / 2).is_multiple_of(2) {
        "direct"
    } else {
        "buffered"
    };
    (uring, io)
}

fn configure(node: &mut Server, round: u64) {
    let (io_backend, io) = variant(round);
    node.set_up(|setup| {
        setup
            .option("io_backend", io_backend)
            .option("image_size_cap", CAP_BYTES)
            .store_option("filesystem_store_io", io)
    });
}

#[test]
fn kill_9_loses_no_acknowledged_change_and_leaves_no_garbage() {
    let mut chance = Chance::new(seed());
    let mut node = Setup::new().prepare();
    let mut ledger = Ledger::default();
    let mut totals = Totals::default();
    for round in 0..rounds() {
        configure(&mut node, round);
        node.start();
        let load = Load::start(node.address(), End::Killed, &ledger, &mut chance);
        std::thread::sleep(Duration::from_millis(150 + chance.below(900)));
        node.kill();
        load.end(&mut ledger);
        totals.acknowledged += ledger.take_acknowledged();
        totals.under_way += ledger.under_way();
        totals.killed_again += kill_while_it_recovers(&mut node, &mut chance);
        node.start();
        totals.last = check(&node, &mut ledger);
        totals.downloads += totals.last.downloads;
        totals.rounds += 1;
        node.kill();
    }
    report("kill -9", &totals);
}

/// Sometimes kills the recovering process as well, up to twice.
fn kill_while_it_recovers(node: &mut Server, chance: &mut Chance) -> u64 {
    let times = chance.below(8).saturating_sub(5);
    for _ in 0..times {
        node.spawn();
        std::thread::sleep(Duration::from_millis(chance.below(150)));
        node.kill();
    }
    times
}

fn report(what: &str, totals: &Totals) {
    eprintln!(
        "{what}: {} rounds ({} killed again while recovering), {} acknowledged changes, {} requests cut off, \
         {} verified downloads; at the end {} active, {} deleted, {} killed, {} queued; \
         0 lost, 0 wrong, 0 orphan bytes",
        totals.rounds,
        totals.killed_again,
        totals.acknowledged,
        totals.under_way,
        totals.downloads,
        totals.last.active,
        totals.last.deleted,
        totals.last.killed,
        totals.last.queued,
    );
    assert!(totals.acknowledged > 0, "nothing was ever acknowledged");
    assert!(totals.last.active > 0, "no image was left to be looked at");
}
