//! The event loop of a run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::body::Body;
use super::connection::{Connection, Waits};
use super::options::Options;
use super::sys::{self, Epoll};
use super::tally::Tally;
use super::target::Requests;

/// Number of failures after which a run is aborted, because its figures would be meaningless.
const MAX_FAILURES: u64 = 1000;

/// Time between two reads of a connection with a limited rate.
const TICK: Duration = Duration::from_millis(10);

/// Number of groups into which connections with a limited rate are divided. The groups read at
/// different times, since independent clients do not all read at once.
const GROUPS: usize = 20;

/// Receive buffer of a client with a limited rate. Small, so that the kernel buffers little.
const SLOW_BUFFER_BYTES: usize = 64 * 1024;

/// Size of a read of a client with a limited rate, as in python-glanceclient 2.17.
const SLOW_READ_BYTES: u64 = 64 * 1024;

/// Runs `get`, `head`, `post` or `put`.
///
/// # Errors
/// When the server cannot be reached or most requests fail.
pub fn run(options: &Options) -> Result<Value, String> {
    let body = match options.uploads() {
        true => Some(Body::new(options.size_bytes, options.chunked)?),
        false => None,
    };
    let mut engine = Engine::new(options, body.as_ref()).map_err(|error| told(options, &error))?;
    engine.work()?;
    let time = engine.begun.elapsed();
    let mut report = std::mem::take(&mut engine.tally).report(&options.command, time);
    if let Some(body) = body.filter(|_| options.digest) {
        report["md5"] = body.digest().into();
    }
    Ok(report)
}

fn told(options: &Options, error: &io::Error) -> String {
    format!("{}: {error}", options.target.address)
}

/// Opens connection `number` from one of the source addresses.
pub fn connect(options: &Options, number: usize) -> io::Result<TcpStream> {
    let address = options.target.address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if options.sources > 1 {
        let last = 1 + (number % usize::from(options.sources)) as u8;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
    }
    if options.rate.is_some() {
        socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
    }
    socket.connect(&address.into())?;
    Ok(socket.into())
}

/// The next request of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    token: usize,
    /// True if it should have begun during the previous request. The delay counts as latency.
    late: bool,
}

struct Engine<'a> {
    options: &'a Options,
    requests: Requests,
    body: Option<&'a Body>,
    epoll: Epoll,
    connections: Vec<Connection>,
    due: BinaryHeap<Reverse<Due>>,
    tally: Tally,
    begun: Instant,
    asked: u64,
}

impl<'a> Engine<'a> {
    fn new(options: &'a Options, body: Option<&'a Body>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let mut connections = Vec::with_capacity(options.clients);
        for number in 0..options.clients {
            let connection = Connection::new(connect(options, number)?)?;
            if options.rate.is_none() {
                epoll.add(connection.fd(), number, sys::READ)?;
            }
            connections.push(connection);
        }
        Ok(Self {
            options,
            requests: Requests::new(&options.command.to_uppercase(), options),
            body,
            epoll,
            connections,
            due: BinaryHeap::new(),
            tally: Tally::default(),
            begun: Instant::now(),
            asked: 0,
        })
    }

    fn work(&mut self) -> Result<(), String> {
        self.spread_starts();
        let mut ready = Vec::new();
        while self.begun.elapsed() < self.options.seconds && !self.is_done() {
            self.start_due()?;
            if self.options.rate.is_some() {
                self.look_at_groups()?;
            } else {
                let waited = self.epoll.wait(self.timeout_ms(), &mut ready);
                waited.map_err(|error| format!("epoll: {error}"))?;
                for (token, _) in ready.drain(..) {
                    self.turn(token)?;
                }
            }
        }
        Ok(())
    }

    /// Reads from every connection with a limited rate.
    fn look_at_groups(&mut self) -> Result<(), String> {
        for group in 0..GROUPS {
            let begun = Instant::now();
            for token in (group..self.connections.len()).step_by(GROUPS) {
                self.turn(token)?;
            }
            std::thread::sleep((TICK / GROUPS as u32).saturating_sub(begun.elapsed()));
        }
        Ok(())
    }

    /// Returns the delay of the first request, which spreads the starts of paced clients.
    fn spread_starts(&mut self) {
        let period = self.options.every.unwrap_or_default() / self.options.clients as u32;
        for (token, connection) in self.connections.iter_mut().enumerate() {
            connection.due = self.begun + period * token as u32;
            self.due.push(Reverse(Due {
                at: connection.due,
                token,
                late: false,
            }));
        }
    }

    /// Returns true if every requested response was received.
    fn is_done(&self) -> bool {
        self.asked >= self.options.requests && self.connections.iter().all(Connection::is_idle)
    }

    fn start_due(&mut self) -> Result<(), String> {
        let now = Instant::now();
        while let Some(Reverse(due)) = self.due.peek().copied() {
            if due.at > now || self.asked >= self.options.requests {
                break;
            }
            self.due.pop();
            let connection = &mut self.connections[due.token];
            self.requests.write(self.asked, &mut connection.request);
            connection.begin(if due.late { due.at } else { now });
            self.asked += 1;
            self.turn(due.token)?;
        }
        Ok(())
    }

    fn timeout_ms(&self) -> i32 {
        let end = self.begun + self.options.seconds;
        let next = match self.due.peek() {
            Some(Reverse(due)) if self.asked < self.options.requests => end.min(due.at),
            _ => end,
        };
        let wait = next.saturating_duration_since(Instant::now());
        wait.as_millis().min(100) as i32 + i32::from(!wait.is_zero())
    }

    fn turn(&mut self, token: usize) -> Result<(), String> {
        let allowance = self.allowance(token);
        let connection = &mut self.connections[token];
        if connection.is_idle() {
            // Readable without a request: the server has closed the connection.
            return match self.options.rate {
                Some(_) => Ok(()),
                None => self.reconnect(token),
            };
        }
        match connection.turn(&mut self.tally, self.body, allowance)? {
            Waits::Read => self.wait_for(token, sys::READ)?,
            Waits::Write => self.wait_for(token, sys::WRITE)?,
            Waits::Request => {
                self.wait_for(token, sys::READ)?;
                self.plan_next(token);
            }
            Waits::Connect => {
                self.reconnect(token)?;
                self.plan_next(token);
            }
        }
        Ok(())
    }

    /// Returns the number of bytes that a connection may receive now.
    fn allowance(&self, token: usize) -> u64 {
        let Some(rate) = self.options.rate else {
            return u64::MAX;
        };
        // Otherwise all connections would read at the same time.
        let head_start = token as u64 * SLOW_READ_BYTES / self.connections.len() as u64;
        let allowed = rate as f64 * self.begun.elapsed().as_secs_f64();
        let due = (allowed as u64 + head_start).saturating_sub(self.connections[token].received);
        due - due % SLOW_READ_BYTES
    }

    fn wait_for(&mut self, token: usize, interest: u32) -> Result<(), String> {
        let connection = &mut self.connections[token];
        if self.options.rate.is_some() || connection.interest == interest {
            return Ok(());
        }
        connection.interest = interest;
        let changed = self.epoll.change(connection.fd(), token, interest);
        changed.map_err(|error| format!("epoll: {error}"))
    }

    fn plan_next(&mut self, token: usize) {
        let (connection, now) = (&mut self.connections[token], Instant::now());
        connection.due = match self.options.every {
            Some(every) => connection.due + every,
            None => now,
        };
        self.due.push(Reverse(Due {
            at: connection.due,
            token,
            late: connection.due < now,
        }));
    }

    fn reconnect(&mut self, token: usize) -> Result<(), String> {
        if self.tally.failed() > MAX_FAILURES {
            return Err(format!("more than {MAX_FAILURES} requests failed"));
        }
        let told = |error| told(self.options, &error);
        let mut fresh = connect(self.options, token)
            .and_then(Connection::new)
            .map_err(told)?;
        let old = &self.connections[token];
        (fresh.due, fresh.received) = (old.due, old.received);
        if self.options.rate.is_none() {
            self.epoll.add(fresh.fd(), token, sys::READ).map_err(told)?;
        }
        self.connections[token] = fresh;
        Ok(())
    }
}
