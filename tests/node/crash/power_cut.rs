//! Power cuts: the file system loses everything that was not written to the disk.

use std::time::Duration;

use super::check::check;
use super::ledger::Ledger;
use super::load::{End, Load};
use super::{Totals, report, seed, variant};
use crate::support::bytes::Chance;
use crate::support::disk::Disk;
use crate::support::server::Setup;
use crate::support::skip;

const ROUNDS: u64 = 4;
const DISK: u64 = 1 << 30;

/// Returns the number of rounds: `GLANCE_POWER_CUTS`, or the default.
fn rounds() -> u64 {
    let rounds = std::env::var("GLANCE_POWER_CUTS").ok();
    rounds.map_or(ROUNDS, |rounds| {
        rounds.parse().expect("GLANCE_POWER_CUTS is a number")
    })
}

#[test]
fn power_cut_loses_no_acknowledged_change_and_leaves_no_garbage() {
    let mut disk = match Disk::new(DISK) {
        Ok(disk) => disk,
        Err(error) => return skip("power cuts", &error),
    };
    let mut chance = Chance::new(seed());
    let mut node = Setup::new().data_dir(&disk.path().join("data")).prepare();
    let mut ledger = Ledger::default();
    let mut totals = Totals::default();
    for round in 0..rounds() {
        eprintln!("power cut {round}: {:?}", variant(round));
        super::configure(&mut node, round);
        node.start();
        let load = Load::start(node.address(), End::DiskFails, &ledger, &mut chance);
        std::thread::sleep(Duration::from_millis(300 + chance.below(1200)));
        if let Err(error) = disk.cut_power() {
            node.kill();
            load.end(&mut ledger);
            return skip("power cuts", &format!("EXT4_IOC_SHUTDOWN: {error}"));
        }
        node.kill();
        load.end(&mut ledger);
        totals.acknowledged += ledger.take_acknowledged();
        totals.under_way += ledger.under_way();
        disk.unmount().expect("unmounted");
        disk.check().expect("a file system that can be mounted");
        disk.mount().expect("mounted");
        node.start();
        totals.last = check(&node, &mut ledger);
        totals.downloads += totals.last.downloads;
        totals.rounds += 1;
        node.kill();
    }
    report("power cut", &totals);
}
