//! A proxy in front of a registry server that delays one write until its sender has given up, as a
//! stalled server does.
//!
//! ```text
//! let late = LateWrites::before(registry.address());
//! late.hold("\"status\":\"active\"");     // the next write with these bytes
//! late.deliver();                         // otherwise it arrives before the next write
//! late.swallow("\"status\":\"active\"");  // the write arrives, its response is lost
//! ```
//!
//! Each request uses its own connections to the server and to the client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

pub struct LateWrites {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    is_over: AtomicBool,
    is_stalled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Text in the write that is to be held.
    wanted: Option<String>,
    /// Text in the write whose response is to be lost.
    to_swallow: Option<String>,
    /// True if later requests wait as well.
    stalls: bool,
    held: Option<Vec<u8>>,
    delivered: usize,
    /// Request lines that the server has answered.
    answered: Vec<String>,
}

impl LateWrites {
    /// Starts a proxy in front of a server on loopback.
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            server,
            is_over: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let relay = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if relay.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let relay = Arc::clone(&relay);
                // An error of either side closes the connection, as it would without a proxy.
                thread::spawn(move || stream.and_then(|stream| relay.serve(stream)));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds the next write that contains this text. It arrives before the next write.
    pub fn hold(&self, words: &str) {
        self.shared.state().wanted = Some(words.to_owned());
    }

    /// Drops the response to the next write that contains this text.
    pub fn swallow(&self, words: &str) {
        self.shared.state().to_swallow = Some(words.to_owned());
    }

    /// Returns true if a response is still to be dropped.
    pub fn is_to_swallow(&self) -> bool {
        self.shared.state().to_swallow.is_some()
    }

    /// Does the same as [`LateWrites::hold`], and makes all later requests wait.
    pub fn hold_and_stall(&self, words: &str) {
        self.shared.state().stalls = true;
        self.hold(words);
    }

    /// Lets requests pass. The held write stays.
    pub fn go_on(&self) {
        self.shared.is_stalled.store(false, Ordering::Relaxed);
    }

    /// Delivers the held write.
    pub fn deliver(&self) {
        self.shared.deliver().expect("the server takes it");
    }

    /// Returns the number of writes that arrived late.
    pub fn delivered(&self) -> usize {
        self.shared.state().delivered
    }

    /// Returns true if the server has answered a request whose request line begins with this text.
    pub fn has_answered(&self, line: &str) -> bool {
        let state = self.shared.state();
        state
            .answered
            .iter()
            .any(|answered| answered.starts_with(line))
    }
}

impl Drop for LateWrites {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let request = read_request(&mut BufReader::new(stream.try_clone()?))?;
        let text = String::from_utf8_lossy(&request);
        let first = text.lines().next().unwrap_or_default().to_owned();
        let is_write = first.starts_with("POST") || first.starts_with("PUT");
        if is_write && self.holds(&text) {
            // Waits until the sender gives up.
            return stream.read_to_end(&mut Vec::new()).map(drop);
        }
        while self.is_stalled.load(Ordering::Relaxed) {
            if self.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        if is_write {
            self.deliver()?;
        }
        let answer = self.exchange(&request)?;
        if is_write && self.swallows(&text) {
            return stream.read_to_end(&mut Vec::new()).map(drop);
        }
        self.state().answered.push(first);
        stream.write_all(&answer)?;
        stream.shutdown(Shutdown::Write)
    }

    fn holds(&self, text: &str) -> bool {
        let mut state = self.state();
        if !state
            .wanted
            .as_ref()
            .is_some_and(|words| text.contains(words))
        {
            return false;
        }
        state.wanted = None;
        state.held = Some(text.as_bytes().to_vec());
        if state.stalls {
            self.is_stalled.store(true, Ordering::Relaxed);
        }
        true
    }

    fn swallows(&self, text: &str) -> bool {
        let wanted = &mut self.state().to_swallow;
        wanted.take_if(|words| text.contains(&**words)).is_some()
    }

    fn deliver(&self) -> io::Result<()> {
        let held = self.state().held.take();
        if let Some(held) = held {
            self.exchange(&held)?;
            self.state().delivered += 1;
        }
        Ok(())
    }

    /// Sends a request to the server, on a connection that ends with the response.
    fn exchange(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.server)?;
        server.set_nodelay(true)?;
        let line_end = request.windows(2).position(|bytes| bytes == b"\r\n");
        let (first, rest) = request.split_at(line_end.unwrap_or_default());
        let request = [first, b"\r\nConnection: close", rest].concat();
        server.write_all(&request)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// A request with its body.
fn read_request(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut body_bytes = 0;
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&line);
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(value) = text.strip_prefix("content-length:") {
            body_bytes = value.trim().parse().map_err(io::Error::other)?;
        }
        if text.trim().is_empty() {
            break;
        }
    }
    let head_bytes = request.len();
    request.resize(head_bytes + body_bytes, 0);
    reader.read_exact(&mut request[head_bytes..])?;
    Ok(request)
}
