//! Clients that run all operations until the server is killed.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use super::ledger::{Data, Entry, Ledger, State};
use crate::support::bytes::{Chance, md5_hex};
use crate::support::http::{Connection, Request, Response};
use crate::support::v1::UPLOAD;

const WORKERS: usize = 6;
/// Number of active images of one worker from which it deletes rather than creates.
const MOST_ACTIVE: usize = 12;
const LARGEST: u64 = 2_500_000;
/// The server's `image_size_cap` in these tests: small, so that some uploads exceed it.
pub const CAP_BYTES: u64 = 3_000_000;

/// The workers. Each has its own images, so that it knows their states.
pub struct Load(Vec<JoinHandle<Worker>>);

/// How the end of the server appears to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Connections break.
    Killed,
    /// Its disk fails first: requests may get a 5xx response, which acknowledges nothing.
    DiskFails,
}

impl Load {
    /// Starts the workers and distributes the known images evenly.
    pub fn start(address: SocketAddr, end: End, ledger: &Ledger, chance: &mut Chance) -> Self {
        let start = |number: usize| {
            let own = ledger.entries.iter().skip(number).step_by(WORKERS);
            let worker = Worker {
                address,
                end,
                chance: chance.fork(),
                entries: own.map(|(id, entry)| (id.clone(), entry.clone())).collect(),
                acknowledged: 0,
            };
            std::thread::spawn(move || worker.work())
        };
        Self((0..WORKERS).map(start).collect())
    }

    /// Waits for the workers after the end of the server, and records their entries.
    pub fn end(self, ledger: &mut Ledger) {
        for worker in self.0 {
            let worker = worker.join().expect("a worker that saw nothing wrong");
            ledger.merge(worker.entries, worker.acknowledged);
        }
    }
}

struct Worker {
    address: SocketAddr,
    end: End,
    chance: Chance,
    entries: BTreeMap<String, Entry>,
    acknowledged: u64,
}

impl Worker {
    /// Runs operations until the connection fails, which only the end of the server causes.
    fn work(mut self) -> Self {
        if let Ok(mut wire) = Connection::open(self.address) {
            while self.step(&mut wire).is_ok() {}
        }
        self
    }

    fn step(&mut self, wire: &mut Connection) -> io::Result<()> {
        let active = self.count(|state| state.data().is_some());
        match self.chance.below(16) {
            0..=5 if active < MOST_ACTIVE => self.create(wire),
            6 => self.reserve(wire),
            7..=8 => self.upload_late(wire),
            9..=10 => self.rename(wire),
            11 => self.list(wire),
            12..=13 => self.download(wire),
            14 => self.pass_the_cap(wire),
            _ => self.delete(wire),
        }
    }

    /// Sends a request that may result in one of these states. Without a response, each of them
    /// is possible afterwards.
    fn attempt(
        &mut self,
        id: &str,
        outcomes: Vec<State>,
        send: impl FnOnce(&mut Chance) -> io::Result<Response>,
    ) -> io::Result<Response> {
        let entry = self.entries.entry(id.to_owned()).or_insert_with(Entry::new);
        entry.possible = outcomes;
        let answer = send(&mut self.chance)?;
        self.seen(answer)
    }

    /// Returns a conclusive response, or an error for the end of a server whose disk failed.
    fn seen(&self, answer: Response) -> io::Result<Response> {
        if self.end == End::DiskFails && answer.status >= 500 {
            return Err(io::Error::other(format!("{}", answer.status)));
        }
        Ok(answer)
    }

    fn acknowledge(&mut self, id: &str, state: State) {
        let entry = self.entries.get_mut(id).expect("attempted before");
        entry.known = state;
        entry.possible.clear();
        self.acknowledged += 1;
    }

    fn create(&mut self, wire: &mut Connection) -> io::Result<()> {
        let (id, name, body) = (self.chance.uuid(), self.name(), self.body());
        let done = active(&name, &body);
        let headers = format!("{UPLOAD}\r\nx-image-meta-id: {id}\r\nx-image-meta-name: {name}");
        let answer = self.attempt(&id, vec![done.clone(), State::Killed], |chance| {
            send_data(wire, chance, "POST", "/v1/images", &headers, &body)
        })?;
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.acknowledge(&id, done);
        Ok(())
    }

    fn reserve(&mut self, wire: &mut Connection) -> io::Result<()> {
        let (id, name) = (self.chance.uuid(), self.name());
        let done = State::Queued { name: name.clone() };
        let headers = format!(
            "x-image-meta-id: {id}\r\nx-image-meta-name: {name}\r\n\
             x-image-meta-disk_format: raw\r\nx-image-meta-container_format: bare"
        );
        let answer = self.attempt(&id, vec![done.clone()], |_| {
            wire.ask("POST", "/v1/images", &headers, b"")
        })?;
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.acknowledge(&id, done);
        Ok(())
    }

    fn upload_late(&mut self, wire: &mut Connection) -> io::Result<()> {
        let Some((id, State::Queued { name })) =
            self.pick(|state| matches!(state, State::Queued { .. }))
        else {
            return self.reserve(wire);
        };
        let body = self.body();
        let done = active(&name, &body);
        let path = format!("/v1/images/{id}");
        let answer = self.attempt(&id, vec![done.clone(), State::Killed], |chance| {
            send_data(
                wire,
                chance,
                "PUT",
                &path,
                "Content-Type: application/octet-stream",
                &body,
            )
        })?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.acknowledge(&id, done);
        Ok(())
    }

    fn rename(&mut self, wire: &mut Connection) -> io::Result<()> {
        let Some((id, state)) = self.pick(|state| state.data().is_some()) else {
            return self.create(wire);
        };
        let name = self.name();
        let data = state.data().expect("active").clone();
        let done = State::Active {
            name: name.clone(),
            data,
        };
        let headers = format!("x-image-meta-name: {name}");
        let answer = self.attempt(&id, vec![done.clone()], |_| {
            wire.ask("PUT", &format!("/v1/images/{id}"), &headers, b"")
        })?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.acknowledge(&id, done);
        Ok(())
    }

    fn delete(&mut self, wire: &mut Connection) -> io::Result<()> {
        let deletable = |state: &State| !matches!(state, State::Absent | State::Deleted);
        let Some((id, _)) = self.pick(deletable) else {
            return self.create(wire);
        };
        let answer = self.attempt(&id, vec![State::Deleted], |_| {
            wire.ask("DELETE", &format!("/v1/images/{id}"), "", b"")
        })?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.acknowledge(&id, State::Deleted);
        Ok(())
    }

    /// An upload that is rejected after most of it was written.
    fn pass_the_cap(&mut self, wire: &mut Connection) -> io::Result<()> {
        let id = self.chance.uuid();
        let body = self.chance.bytes(CAP_BYTES as usize + 1);
        let headers = format!("{UPLOAD}\r\nx-image-meta-id: {id}\r\nTransfer-Encoding: chunked");
        let answer = self.attempt(&id, vec![State::Killed], |_| {
            wire.send_head(&Request::post("/v1/images").lines(&headers))?;
            let sent = wire.send_chunks(&body, || 65_536);
            wire.read_response("POST")
                .or_else(|error| sent.and(Err(error)))
        })?;
        assert_eq!(answer.status, 413, "{}", answer.text());
        self.acknowledge(&id, State::Killed);
        // The server may have closed the connection; a new one continues.
        *wire = Connection::open(self.address)?;
        Ok(())
    }

    fn list(&mut self, wire: &mut Connection) -> io::Result<()> {
        let answer = wire.ask("GET", "/v1/images/detail?limit=1000", "", b"")?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let listed = answer.json();
        let listed = listed["images"].as_array().expect("a list").iter();
        for image in listed {
            let id = image["id"].as_str().expect("an id");
            let known = self.entries.get(id).map(|entry| &entry.known);
            assert_ne!(known, Some(&State::Deleted), "{id} is listed");
        }
        Ok(())
    }

    fn download(&mut self, wire: &mut Connection) -> io::Result<()> {
        let Some((id, state)) = self.pick(|state| state.data().is_some()) else {
            return self.create(wire);
        };
        let answer = wire.ask("GET", &format!("/v1/images/{id}"), "", b"")?;
        let answer = self.seen(answer)?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let data = state.data().expect("active");
        assert_eq!(md5_hex(&answer.body), data.md5, "{id}");
        Ok(())
    }

    fn count(&self, of: impl Fn(&State) -> bool) -> usize {
        self.entries
            .values()
            .filter(|entry| of(&entry.known))
            .count()
    }

    fn pick(&mut self, of: impl Fn(&State) -> bool) -> Option<(String, State)> {
        let count = self.count(&of) as u64;
        let place = self.chance.below(count.max(1)) as usize;
        let mut fitting = self.entries.iter().filter(|(_, entry)| of(&entry.known));
        let (id, entry) = fitting.nth(place)?;
        Some((id.clone(), entry.known.clone()))
    }

    fn name(&mut self) -> String {
        format!("image {:x}", self.chance.next())
    }

    /// Returns data of a random length: mostly small, sometimes many blocks.
    fn body(&mut self) -> Vec<u8> {
        let most = [5_000, 300_000, LARGEST][self.chance.below(3) as usize];
        let size = 1 + self.chance.below(most);
        self.chance.bytes(size as usize)
    }
}

fn active(name: &str, body: &[u8]) -> State {
    State::Active {
        name: name.to_owned(),
        data: Data {
            size_bytes: body.len() as u64,
            md5: md5_hex(body),
        },
    }
}

/// Sends data with a Content-Length, or in chunks of random sizes.
fn send_data(
    wire: &mut Connection,
    chance: &mut Chance,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> io::Result<Response> {
    if chance.below(2) == 0 {
        return wire.ask(method, path, headers, body);
    }
    let headers = format!("{headers}\r\nTransfer-Encoding: chunked");
    wire.send_head(&Request::new(method, path).lines(&headers))?;
    wire.send_chunks(body, || 1 + chance.below(150_000) as usize)?;
    wire.read_response(method)
}
