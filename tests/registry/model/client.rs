//! One client of the model test, which knows the expected states of its images.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::ledger::{Entry, Ledger, State};
use crate::support::bytes::Chance;
use crate::support::http::{Connection, Request, Response};
use crate::support::v1::{RAW, image_path, post, post_data, put, put_data};

/// Maximum time until a server shows what another one has acknowledged. A killed server has to
/// start, and a cluster without a leader has to elect one.
const SOON: Duration = Duration::from_secs(20);

/// Number of properties that all clients add to one image before they use the next one.
const PROPERTIES: usize = 150;

const LARGEST: u64 = 20_000;

/// An image that all clients write to.
pub struct Shared {
    pub ids: Mutex<Vec<String>>,
    names: Mutex<usize>,
    addresses: Vec<SocketAddr>,
}

impl Shared {
    pub fn new(addresses: &[SocketAddr]) -> Self {
        let shared = Self {
            ids: Mutex::default(),
            names: Mutex::default(),
            addresses: addresses.to_vec(),
        };
        shared.next_id();
        shared
    }

    /// Returns the image to write to, and a property that no other client writes.
    fn next(&self) -> (String, String) {
        let number = {
            let mut names = self.names.lock().expect("no panic");
            *names += 1;
            *names
        };
        if number.is_multiple_of(PROPERTIES) {
            self.next_id();
        }
        let ids = self.ids.lock().expect("no panic");
        let id = ids.last().expect("an image").clone();
        (id, format!("p{number}"))
    }

    fn next_id(&self) {
        // Some server answers after a while.
        let deadline = Instant::now() + SOON;
        let mut tries = self.addresses.iter().cycle();
        let id = loop {
            let address = *tries.next().expect("a cycle has no end");
            let answer = ask(address, &post(RAW));
            if let Ok(answer) = answer
                && answer.status == 201
            {
                break crate::support::v1::id_of(&answer);
            }
            assert!(Instant::now() < deadline, "no server takes an image");
            std::thread::sleep(Duration::from_millis(50));
        };
        self.ids.lock().expect("no panic").push(id);
    }
}

pub struct Client<'a> {
    number: usize,
    addresses: &'a [SocketAddr],
    shared: &'a Shared,
    chance: Chance,
    ledger: Ledger,
    names: u64,
}

/// The outcome of a request.
enum Fate {
    Done,
    /// The response was lost, so the outcome is unknown.
    Unknown,
}

pub fn ask(address: SocketAddr, request: &Request) -> io::Result<Response> {
    Connection::open(address)?.exchange(request)
}

/// Returns the position of a status in the life of an image.
pub fn step(status: &str) -> usize {
    let steps = [
        &["queued"][..],
        &["saving"],
        &["active", "killed"],
        &["deleted", "pending_delete"],
    ];
    let step = steps.iter().position(|words| words.contains(&status));
    step.unwrap_or_else(|| panic!("{status} is no status"))
}

impl<'a> Client<'a> {
    pub fn new(
        number: usize,
        addresses: &'a [SocketAddr],
        shared: &'a Shared,
        chance: Chance,
    ) -> Self {
        Self {
            number,
            addresses,
            shared,
            chance,
            ledger: Ledger::default(),
            names: 0,
        }
    }

    pub fn work(mut self, over: &AtomicBool) -> Ledger {
        while !over.load(Ordering::Relaxed) {
            match self.chance.below(10) {
                0..=2 => self.create(),
                3 => self.reserve(),
                4 => self.upload(),
                5..=6 => self.rename(),
                7 => self.add_property(),
                8 => self.look(),
                _ => self.delete(),
            }
        }
        self.ledger
    }

    fn create(&mut self) {
        let (id, name, data) = (self.chance.uuid(), self.name(), self.data());
        let request = post_data(
            &[
                ("x-image-meta-id", &id),
                ("x-image-meta-name", &name),
                ("x-image-meta-is_public", "True"),
            ],
            &data,
        );
        let queued = State::queued(&name);
        let saving = State {
            status: "saving",
            ..queued.clone()
        };
        let killed = State {
            status: "killed",
            ..queued.clone()
        };
        let active = queued.with_data(&data);
        self.change(&id, &request, 201, active, vec![saving, killed]);
    }

    fn reserve(&mut self) {
        let (id, name) = (self.chance.uuid(), self.name());
        let request = post(RAW)
            .header("x-image-meta-id", &id)
            .header("x-image-meta-name", &name)
            .header("x-image-meta-is_public", "True");
        self.change(&id, &request, 201, State::queued(&name), Vec::new());
    }

    fn upload(&mut self) {
        let Some((id, queued)) = self.one(|state| state.status == "queued") else {
            return self.reserve();
        };
        let data = self.data();
        let of = |status| State {
            status,
            ..queued.clone()
        };
        let between = vec![of("saving"), of("killed")];
        let request = put_data(&id, &[], &data);
        self.change(&id, &request, 200, queued.with_data(&data), between);
    }

    fn rename(&mut self) {
        let Some((id, state)) = self.one(|state| state.status != "deleted") else {
            return self.create();
        };
        let name = self.name();
        let keep = ("x-glance-registry-purge-props", "false");
        let request = put(&id, &[("x-image-meta-name", &name), keep]);
        self.change(&id, &request, 200, state.named(&name), Vec::new());
    }

    fn delete(&mut self) {
        let Some((id, state)) = self.one(|state| state.status != "deleted") else {
            return self.create();
        };
        let request = Request::delete(&image_path(&id));
        self.change(&id, &request, 200, state.deleted(), Vec::new());
    }

    fn add_property(&mut self) {
        let (id, name) = self.shared.next();
        let header = format!("x-image-meta-property-{name}");
        let keep = ("x-glance-registry-purge-props", "false");
        let request = put(&id, &[(&header, "x"), keep]);
        let (_, fate) = self.send(&request, 200);
        if let Fate::Done = fate {
            self.ledger.properties.push(name);
            self.ledger.acknowledged += 1;
        }
    }

    /// Reads one of its images at a random server.
    fn look(&mut self) {
        let Some((id, state)) = self.one(|_| true) else {
            return;
        };
        let address = self.random_server();
        self.expect_soon(address, &id, &state);
    }

    /// Sends a change. The server that acknowledges it must show it at once.
    fn change(
        &mut self,
        id: &str,
        request: &Request,
        status: u16,
        after: State,
        between: Vec<State>,
    ) {
        let before = self
            .ledger
            .entries
            .get(id)
            .and_then(|entry| entry.known.clone());
        let (address, fate) = self.send(request, status);
        let mut possible = Vec::new();
        if let Fate::Unknown = fate {
            possible = between;
            possible.push(after.clone());
            possible.extend(before.clone());
        }
        let known = match fate {
            Fate::Unknown => before,
            Fate::Done => Some(after),
        };
        let entry = Entry { known, possible };
        self.ledger.entries.insert(id.to_owned(), entry.clone());
        if let (Some(state), true) = (&entry.known, entry.possible.is_empty()) {
            self.ledger.acknowledged += 1;
            self.expect_at_once(address, id, state);
        }
    }

    /// Checks that the server that has acknowledged a write shows it, if the server still runs.
    fn expect_at_once(&mut self, address: SocketAddr, id: &str, state: &State) {
        let Some(seen) = self.see(address, id) else {
            return;
        };
        assert_eq!(
            seen.as_ref(),
            Some(state),
            "{id} at {address}, which had said so"
        );
    }

    /// Checks that every other server shows it soon, and that the status never goes back.
    fn expect_soon(&mut self, address: SocketAddr, id: &str, state: &State) {
        let deadline = Instant::now() + SOON;
        let mut last = 0;
        loop {
            if let Some(seen) = self.see(address, id) {
                if seen.as_ref() == Some(state) {
                    return;
                }
                let seen = seen.unwrap_or_else(|| panic!("{id} is not known at {address}"));
                let now = step(seen.status);
                assert!(
                    now >= last,
                    "{id} stepped back to {} at {address}",
                    seen.status
                );
                assert!(
                    now <= step(state.status),
                    "{id} is {} at {address}",
                    seen.status
                );
                last = now;
            }
            assert!(
                Instant::now() < deadline,
                "{id} at {address} is not {state:?} after {SOON:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the state of an image at a server; `None` if the server does not answer.
    fn see(&mut self, address: SocketAddr, id: &str) -> Option<Option<State>> {
        let seen = see(address, id)?;
        self.ledger.answers += 1;
        Some(seen)
    }

    fn send(&mut self, request: &Request, status: u16) -> (SocketAddr, Fate) {
        let address = self.random_server();
        let fate = match ask(address, request) {
            Ok(answer) if answer.status == status => Fate::Done,
            // Neither of them shows the outcome.
            Ok(answer) if [500, 503].contains(&answer.status) => Fate::Unknown,
            Ok(answer) => panic!(
                "client {}: {request:?} at {address}: {answer:?}",
                self.number
            ),
            Err(_) => Fate::Unknown,
        };
        if let Fate::Unknown = fate {
            self.ledger.unanswered += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        (address, fate)
    }

    /// Returns one of its images whose state is certain.
    fn one(&mut self, is_wanted: impl Fn(&State) -> bool) -> Option<(String, State)> {
        let certain = self.ledger.entries.iter().filter_map(|(id, entry)| {
            let state = entry.known.as_ref().filter(|_| entry.possible.is_empty())?;
            is_wanted(state).then_some((id, state))
        });
        let certain: Vec<_> = certain.collect();
        let place = self.chance.below(certain.len().max(1) as u64) as usize;
        let (id, state) = certain.get(place)?;
        Some(((*id).clone(), (*state).clone()))
    }

    fn random_server(&mut self) -> SocketAddr {
        self.addresses[self.chance.below(self.addresses.len() as u64) as usize]
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("c{}-{}", self.number, self.names)
    }

    fn data(&mut self) -> Vec<u8> {
        let len = 1 + self.chance.below(LARGEST) as usize;
        self.chance.bytes(len)
    }
}

/// Returns the state of an image at a server: `None` if the server does not answer, `Some(None)` if
/// it has no such image.
pub fn see(address: SocketAddr, id: &str) -> Option<Option<State>> {
    const STATUSES: [&str; 6] = [
        "queued",
        "saving",
        "active",
        "killed",
        "deleted",
        "pending_delete",
    ];
    let answer = ask(address, &Request::head(&image_path(id))).ok()?;
    match answer.status {
        200 => {
            let text = |name: &str| answer.header(name).map(str::to_owned);
            let status = text("x-image-meta-status").expect("a status");
            let status = STATUSES.into_iter().find(|word| *word == status);
            Some(Some(State {
                status: status.expect("a status"),
                name: text("x-image-meta-name").unwrap_or_default(),
                checksum: text("x-image-meta-checksum"),
            }))
        }
        404 => Some(None),
        503 => None,
        status => panic!("HEAD of {id} at {address}: {status}"),
    }
}
