//! A gate before a real server: it passes bytes on both ways until a test says otherwise.
//! With it a server that works is cut off, falls silent, or is away and comes back.
//!
//! ```text
//! let gate = Gate::before(address_of(&keystone.auth_url));
//! ... auth_url = gate.url(&keystone.auth_url) ...
//! gate.set(Mode::Silent);
//! gate.cut(Way::Down, 100_000);       // when so many more bytes have come from the server
//! gate.flip(Way::Up, 100_000);        // one bit of the byte after so many
//! gate.hold(Way::Down, 100_000);      // silent when so many, or some more, have come
//! ```

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What becomes of connections and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Open,
    /// Bytes stay here until it opens; connections are taken.
    Silent,
    /// All connections end, new ones at once.
    Closed,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up,
    /// To the client.
    Down,
}

pub struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    state: Mutex<State>,
    is_over: AtomicBool,
}

struct State {
    mode: Mode,
    /// Both sockets of each connection, to end them.
    connections: HashMap<usize, [TcpStream; 2]>,
    taken: usize,
    passed_bytes: [u64; 2],
    /// Bytes that still pass before the connection they are on is cut.
    until_cut: [Option<u64>; 2],
    /// Bytes that pass until the next cut, after one.
    until_next_cut: [Option<u64>; 2],
    /// Bytes that still pass before the one that comes to be another.
    until_flip: [Option<u64>; 2],
    /// Bytes until the gate falls silent.
    until_silence: [Option<u64>; 2],
}

impl Gate {
    /// An open gate before a server on loopback.
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("a port");
        let state = State {
            mode: Mode::Open,
            connections: HashMap::new(),
            taken: 0,
            passed_bytes: [0; 2],
            until_cut: [None; 2],
            until_next_cut: [None; 2],
            until_flip: [None; 2],
            until_silence: [None; 2],
        };
        let shared = Arc::new(Shared {
            server,
            state: Mutex::new(state),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of something on the server, through the gate.
    #[track_caller]
    pub fn url(&self, url: &str) -> String {
        let server = self.shared.server.to_string();
        assert!(url.contains(&server), "{url} is not on {server}");
        url.replace(&server, &self.address.to_string())
    }

    pub fn set(&self, mode: Mode) {
        let mut state = self.shared.state();
        state.mode = mode;
        if mode == Mode::Closed {
            state.connections.values().for_each(end);
        }
    }

    pub fn mode(&self) -> Mode {
        self.shared.mode()
    }

    /// Cuts the connection on which one more byte would pass after so many, from now on and
    /// over all connections. Once.
    pub fn cut(&self, way: Way, after_bytes: u64) {
        self.cuts(way, Some(after_bytes), None);
    }

    /// The same, again and again.
    pub fn cut_each(&self, way: Way, after_bytes: u64) {
        self.cuts(way, Some(after_bytes), Some(after_bytes));
    }

    /// Cuts no more.
    pub fn cut_none(&self, way: Way) {
        self.cuts(way, None, None);
    }

    fn cuts(&self, way: Way, first: Option<u64>, next: Option<u64>) {
        let mut state = self.shared.state();
        state.until_cut[way as usize] = first;
        state.until_next_cut[way as usize] = next;
    }

    /// Whether a cut is still to come.
    pub fn is_cut_pending(&self, way: Way) -> bool {
        self.shared.state().until_cut[way as usize].is_some()
    }

    /// Makes the byte that comes after so many, from now on and over all connections,
    /// another. Once.
    pub fn flip(&self, way: Way, after_bytes: u64) {
        self.shared.state().until_flip[way as usize] = Some(after_bytes);
    }

    /// Falls silent when so many bytes, or some more, have passed from now on, over all
    /// connections. Once.
    pub fn hold(&self, way: Way, after_bytes: u64) {
        self.shared.state().until_silence[way as usize] = Some(after_bytes);
    }

    /// Whether a flip is still to come.
    pub fn is_flip_pending(&self, way: Way) -> bool {
        self.shared.state().until_flip[way as usize].is_some()
    }

    /// Bytes that have passed so far.
    pub fn passed_bytes(&self, way: Way) -> u64 {
        self.shared.state().passed_bytes[way as usize]
    }

    /// Connections that were taken so far.
    pub fn connections(&self) -> usize {
        self.shared.state().taken
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.set(Mode::Closed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How many of these bytes may pass; fewer than all when the connection is to be cut.
    fn admit(&self, way: Way, count: usize) -> usize {
        let mut state = self.state();
        let pending = state.until_cut[way as usize];
        let left = pending.unwrap_or(u64::MAX);
        let admitted = left.min(count as u64);
        let is_cut = admitted < count as u64;
        state.until_cut[way as usize] = match is_cut {
            true => state.until_next_cut[way as usize],
            false => pending.map(|left| left - admitted),
        };
        state.passed_bytes[way as usize] += admitted;
        if let Some(left) = state.until_silence[way as usize].take() {
            match left.checked_sub(admitted) {
                Some(left @ 1..) => state.until_silence[way as usize] = Some(left),
                _ => state.mode = Mode::Silent,
            }
        }
        admitted as usize
    }

    /// Changes the byte that is to be another, if it is one of these.
    fn spoil(&self, way: Way, bytes: &mut [u8]) {
        let pending = &mut self.state().until_flip[way as usize];
        let Some(left) = *pending else { return };
        match bytes.get_mut(usize::try_from(left).unwrap_or(usize::MAX)) {
            Some(byte) => {
                *byte ^= 1;
                *pending = None;
            }
            None => *pending = Some(left - bytes.len() as u64),
        }
    }

    fn mode(&self) -> Mode {
        self.state().mode
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, client) in listener.incoming().enumerate() {
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        // A server that is away ends the connection, as it would without a gate.
        let (Ok(client), Ok(server)) = (client, TcpStream::connect(shared.server)) else {
            continue;
        };
        let mut state = shared.state();
        state.taken += 1;
        if state.mode == Mode::Closed {
            continue;
        }
        let sockets = [&client, &server].map(|socket| {
            socket.set_nodelay(true).expect("an option of a socket");
            socket.try_clone().expect("a second handle")
        });
        state.connections.insert(number, sockets);
        drop(state);
        let shared = Arc::clone(shared);
        thread::spawn(move || connect(&client, &server, number, &shared));
    }
}

fn connect(client: &TcpStream, server: &TcpStream, number: usize, shared: &Shared) {
    thread::scope(|scope| {
        scope.spawn(|| pass(client, server, Way::Up, shared));
        pass(server, client, Way::Down, shared);
    });
    shared.state().connections.remove(&number);
}

/// Passes bytes on until one side ends or the test wants an end.
fn pass(mut from: &TcpStream, mut to: &TcpStream, way: Way, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    // An error of either side is an end like another.
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        while shared.mode() == Mode::Silent {
            thread::sleep(Duration::from_millis(2));
        }
        shared.spoil(way, &mut buffer[..count]);
        let admitted = shared.admit(way, count);
        if to.write_all(&buffer[..admitted]).is_err() || admitted < count {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn end(sockets: &[TcpStream; 2]) {
    for socket in sockets {
        // It may have ended by itself.
        let _ = socket.shutdown(Shutdown::Both);
    }
}
