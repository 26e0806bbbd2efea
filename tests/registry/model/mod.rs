//! A model test: many clients of several servers with one registry, whose processes are killed at
//! random.
//!
//! Each client has images of its own, so it knows their states. An acknowledged change must be
//! visible at once at the server that acknowledged it, and soon at every other server; a status must
//! never go back; and no property that clients add concurrently to one image may be lost. At the
//! end, every image is checked at every server.
//!
//! ```text
//! GLANCE_MODEL_SECONDS=600 cargo test --release --features etcd --test registry model -- --nocapture
//! ```

mod check;
mod client;
mod ledger;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::client::{Client, Shared};
use self::ledger::Ledger;
use crate::support::bytes::Chance;
#[cfg(feature = "etcd")]
use crate::support::etcd::Etcd;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;

/// Seconds of load unless `GLANCE_MODEL_SECONDS` is set.
const SECONDS: u64 = 8;
const CLIENTS: usize = 6;
const NODES: usize = 3;

/// Processes that are killed and restarted repeatedly.
trait Parts: Sync {
    /// Returns the number of processes that can be killed.
    fn count(&self) -> usize;
    fn kill(&self, part: usize);
    fn start(&self, part: usize);
    /// Returns true if all processes work again.
    fn is_well(&self) -> bool;
}

fn seconds() -> u64 {
    let given = std::env::var("GLANCE_MODEL_SECONDS").ok();
    given.map_or(SECONDS, |seconds| seconds.parse().expect("a number"))
}

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = std::env::var("GLANCE_MODEL_SEED").ok();
    let seed = seed.map_or(now.expect("after 1970").as_nanos() as u64, |seed| {
        seed.parse().expect("a number")
    });
    eprintln!("GLANCE_MODEL_SEED={seed}");
    seed
}

/// API servers that can be killed.
struct Nodes {
    servers: Vec<Mutex<Server>>,
}

impl Nodes {
    fn start(setup: impl Fn() -> Setup) -> Self {
        let servers = (0..NODES).map(|_| Mutex::new(setup().start()));
        Self {
            servers: servers.collect(),
        }
    }

    fn with<T>(&self, node: usize, act: impl FnOnce(&mut Server) -> T) -> T {
        act(&mut self.servers[node].lock().expect("no panic"))
    }
}

/// Nodes with a registry server, which can be killed too.
struct OnRegistry {
    nodes: Nodes,
    registry: Mutex<Server>,
}

impl Parts for OnRegistry {
    fn count(&self) -> usize {
        NODES + 1
    }

    fn kill(&self, part: usize) {
        match part {
            NODES => self.registry.lock().expect("no panic").kill(),
            node => self.nodes.with(node, Server::kill),
        }
    }

    fn start(&self, part: usize) {
        match part {
            NODES => self.registry.lock().expect("no panic").start(),
            // Its registry may be unreachable at this moment.
            node => self.nodes.with(node, Server::spawn),
        }
    }

    fn is_well(&self) -> bool {
        true
    }
}

#[cfg(feature = "etcd")]
struct OnEtcd {
    nodes: Nodes,
    etcd: Etcd,
}

#[cfg(feature = "etcd")]
impl Parts for OnEtcd {
    fn count(&self) -> usize {
        NODES + self.etcd.len()
    }

    fn kill(&self, part: usize) {
        match part.checked_sub(NODES) {
            Some(member) => self.etcd.kill(member),
            None => self.nodes.with(part, Server::kill),
        }
    }

    fn start(&self, part: usize) {
        match part.checked_sub(NODES) {
            Some(member) => self.etcd.restart(member),
            None => self.nodes.with(part, Server::spawn),
        }
    }

    /// A second member may only be killed once the first one is back: two of three are required.
    fn is_well(&self) -> bool {
        self.etcd.is_well()
    }
}

#[test]
fn registry_server_loses_no_acknowledged_write() {
    let registry = Setup::registry().start();
    let images = temp_folder();
    let address = registry.address();
    let nodes = Nodes::start(|| {
        Setup::new()
            .registry_at(address)
            .option("image_property_quota", -1)
            .store_dir(images.path())
    });
    let registry = Mutex::new(registry);
    let parts = OnRegistry { nodes, registry };
    run("registry server", &parts, &parts.nodes);
}

#[cfg(feature = "etcd")]
#[test]
fn etcd_loses_no_acknowledged_write() {
    let etcd = Etcd::start(3);
    let images = temp_folder();
    let nodes = Nodes::start(|| {
        Setup::new()
            .etcd(&etcd)
            .option("image_property_quota", -1)
            .store_dir(images.path())
    });
    let parts = OnEtcd { nodes, etcd };
    run("etcd", &parts, &parts.nodes);
}

fn run(what: &str, parts: &impl Parts, nodes: &Nodes) {
    let mut chance = Chance::new(seed());
    let addresses: Vec<_> = (0..NODES)
        .map(|node| nodes.with(node, |server| server.address()))
        .collect();
    let shared = Shared::new(&addresses);
    let over = AtomicBool::new(false);
    let mut ledger = Ledger::default();
    let mut kills = 0;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = Client::new(number, &addresses, &shared, chance.fork());
                let over = &over;
                scope.spawn(move || client.work(over))
            })
            .collect();
        kills = kill_at_random(parts, &mut chance.fork());
        over.store(true, Ordering::Relaxed);
        for client in clients {
            ledger.merge(client.join().expect("a client that saw nothing wrong"));
        }
    });
    for node in 0..NODES {
        nodes.with(node, Server::restart);
    }
    let checked = check::all(&addresses, &shared, &ledger);
    eprintln!(
        "{what}: {} s, {kills} kills, {} acknowledged writes, {} without an answer, {} answers \
         looked at, {} images at the end; 0 lost, 0 wrong",
        seconds(),
        ledger.acknowledged,
        ledger.unanswered,
        ledger.answers + checked.answers,
        checked.images,
    );
    assert!(ledger.acknowledged > 0 && checked.images > 0);
}

/// Kills processes at random until the time is over, and returns how many.
fn kill_at_random(parts: &impl Parts, chance: &mut Chance) -> u64 {
    let end = Instant::now() + Duration::from_secs(seconds());
    let mut kills = 0;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(200 + chance.below(1500)));
        if !parts.is_well() {
            continue;
        }
        let part = chance.below(parts.count() as u64) as usize;
        parts.kill(part);
        std::thread::sleep(Duration::from_millis(chance.below(800)));
        parts.start(part);
        kills += 1;
    }
    kills
}
