//! A TCP proxy in front of a real server, which a test can cut, stall or close. It simulates
//! network failures of a server that works.
//!
//! ```text
//! let gate = Gate::before(address_of(&keystone.auth_url));
//! ... auth_url = gate.url(&keystone.auth_url) ...
//! gate.set(Mode::Silent);
//! gate.cut(Way::Down, 100_000);       // after this number of bytes from the server
//! gate.flip(Way::Up, 100_000);        // flips a bit of the byte after this number
//! gate.hold(Way::Down, 100_000);      // silent after at least this number
//! ```

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Treatment of connections and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Open,
    /// Connections are accepted, and bytes are held until the gate opens.
    Silent,
    /// All connections are closed, new ones at once.
    Closed,
}

/// Direction of bytes.
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
    /// Both sockets of each connection, to close them.
    connections: HashMap<usize, [TcpStream; 2]>,
    taken: usize,
    passed_bytes: [u64; 2],
    /// Bytes that pass before their connection is cut.
    until_cut: [Option<u64>; 2],
    /// Bytes between repeated cuts.
    until_next_cut: [Option<u64>; 2],
    /// Bytes that pass before the byte that is changed.
    until_flip: [Option<u64>; 2],
    /// Bytes that pass before the gate falls silent.
    until_silence: [Option<u64>; 2],
}

impl Gate {
    /// Opens a gate in front of a server on loopback.
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

    /// Returns a URL of the server with the address of the gate.
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

    /// Cuts, once, the connection on which the next byte would pass after this number of bytes of
    /// all connections from now on.
    pub fn cut(&self, way: Way, after_bytes: u64) {
        self.cuts(way, Some(after_bytes), None);
    }

    /// Does the same repeatedly.
    pub fn cut_each(&self, way: Way, after_bytes: u64) {
        self.cuts(way, Some(after_bytes), Some(after_bytes));
    }

    /// Stops cutting.
    pub fn cut_none(&self, way: Way) {
        self.cuts(way, None, None);
    }

    fn cuts(&self, way: Way, first: Option<u64>, next: Option<u64>) {
        let mut state = self.shared.state();
        state.until_cut[way as usize] = first;
        state.until_next_cut[way as usize] = next;
    }

    /// Returns true if a cut is pending.
    pub fn is_cut_pending(&self, way: Way) -> bool {
        self.shared.state().until_cut[way as usize].is_some()
    }

    /// Changes, once, the byte after this number of bytes of all connections from now on.
    pub fn flip(&self, way: Way, after_bytes: u64) {
        self.shared.state().until_flip[way as usize] = Some(after_bytes);
    }

    /// Falls silent, once, when at least this number of bytes of all connections have passed from
    /// now on.
    pub fn hold(&self, way: Way, after_bytes: u64) {
        self.shared.state().until_silence[way as usize] = Some(after_bytes);
    }

    /// Returns true if a flip is pending.
    pub fn is_flip_pending(&self, way: Way) -> bool {
        self.shared.state().until_flip[way as usize].is_some()
    }

    /// Returns the number of bytes that have passed.
    pub fn passed_bytes(&self, way: Way) -> u64 {
        self.shared.state().passed_bytes[way as usize]
    }

    /// Returns the number of accepted connections.
    pub fn connections(&self) -> usize {
        self.shared.state().taken
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.set(Mode::Closed);
        // Wakes the accepting thread, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns how many of these bytes pass; fewer than all if the connection is cut.
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

    /// Changes the byte to be flipped if it is one of these.
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
        // If the server is unreachable, the connection is closed, as it would be without a gate.
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

/// Forwards bytes until one side or the test closes the connection.
fn pass(mut from: &TcpStream, mut to: &TcpStream, way: Way, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    // An error of either side counts as its end.
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
        // The connection may already be closed.
        let _ = socket.shutdown(Shutdown::Both);
    }
}
