//! A scripted HTTP origin, for faults that a real server does not show on demand: a body that is
//! cut at byte n, a false length, wrong bytes, a stall, an endless body.
//!
//! ```text
//! let origin = Origin::start(Content::new(1, 5 << 30), |seen| match seen.turn {
//!     0 => Answer::whole().cut_after(1000),       // the first GET
//!     _ => Answer::whole(),
//! });
//! ... download origin.url("/image") ...
//! assert_eq!(origin.times_sent(), (1, 1));        // every byte exactly once
//! ```
//!
//! It serves one content at every path and accepts requests without a body. Each connection has a
//! thread, which ends with the origin.

pub mod answer;
pub mod content;
mod conversation;
mod request;
mod tls;

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use answer::Answer;
use content::Content;
use rustls::ServerConfig;
use tls::Tls;

/// A request and the progress of its response.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Number of the connection, from 0.
    pub connection: usize,
    /// Number of earlier requests with this method.
    pub turn: usize,
    /// The range of the content that was sent. Up to 64 KiB at its end may still be in transit, or were
    /// lost when the client disconnected.
    pub sent: Range<u64>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A running origin.
pub struct Origin {
    pub content: Arc<Content>,
    address: SocketAddr,
    tls: Option<Tls>,
    state: Arc<State>,
}

/// State that the threads share.
struct State {
    content: Arc<Content>,
    script: Box<dyn Fn(&Seen) -> Answer + Send + Sync>,
    tls: Option<Arc<ServerConfig>>,
    log: Mutex<Vec<Seen>>,
    /// The sockets of all connections, to close them with the origin.
    connections: Mutex<HashMap<usize, TcpStream>>,
    is_over: AtomicBool,
}

impl Origin {
    /// Starts an origin that answers according to the script.
    pub fn start(
        content: Content,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(content, Box::new(script), None)
    }

    /// Does the same as [`Origin::start`] over TLS, with a certificate of its own authority.
    pub fn start_tls(
        content: Content,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(content, Box::new(script), Some(Tls::new()))
    }

    /// Starts an origin without faults.
    pub fn honest(content: Content) -> Self {
        Self::start(content, |_| Answer::whole())
    }

    fn listen(
        content: Content,
        script: Box<dyn Fn(&Seen) -> Answer + Send + Sync>,
        tls: Option<Tls>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("a port");
        let content = Arc::new(content);
        let state = Arc::new(State {
            content: Arc::clone(&content),
            script,
            tls: tls.as_ref().map(|tls| Arc::clone(&tls.config)),
            log: Mutex::default(),
            connections: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&state);
        thread::spawn(move || accept(&listener, &accepting));
        Self {
            content,
            address,
            tls,
            state,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the content at any path.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Returns a PEM file with the authority of an origin with TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.tls.as_ref().expect("an origin with TLS").ca_file()
    }

    /// Returns the requests so far, in the order of their arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.log.lock().unwrap().clone()
    }

    /// Returns the number of requests with this method so far.
    pub fn count(&self, method: &str) -> usize {
        let seen = self.seen();
        seen.iter().filter(|seen| seen.method == method).count()
    }

    /// Returns the number of content bytes that were sent, counting repetitions.
    pub fn sent_bytes(&self) -> u64 {
        let seen = self.seen();
        seen.iter()
            .map(|seen| seen.sent.end - seen.sent.start)
            .sum()
    }

    /// Returns how often the least sent and the most sent byte of the content were sent.
    pub fn times_sent(&self) -> (usize, usize) {
        let ranges: Vec<_> = self.seen().into_iter().map(|seen| seen.sent).collect();
        fewest_and_most(&ranges, self.content.size_bytes)
    }

    /// Returns the number of open connections.
    pub fn open_connections(&self) -> usize {
        self.state.connections.lock().unwrap().len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
        for connection in self.state.connections.lock().unwrap().values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for (number, stream) in listener.incoming().enumerate() {
        if state.is_over.load(Ordering::Relaxed) {
            return;
        }
        let (stream, state) = (stream.expect("a connection"), Arc::clone(state));
        let second = stream.try_clone().expect("a second handle");
        state.connections.lock().unwrap().insert(number, second);
        thread::spawn(move || conversation::serve(stream, number, &state));
    }
}

fn fewest_and_most(ranges: &[Range<u64>], size_bytes: u64) -> (usize, usize) {
    let mut edges: Vec<u64> = ranges
        .iter()
        .flat_map(|range| [range.start, range.end])
        .chain([0, size_bytes])
        .filter(|edge| *edge <= size_bytes)
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let times = edges.windows(2).map(|pair| {
        let covers = |range: &&Range<u64>| range.start <= pair[0] && pair[1] <= range.end;
        ranges.iter().filter(covers).count()
    });
    let (mut fewest, mut most) = (usize::MAX, 0);
    for times in times {
        fewest = fewest.min(times);
        most = most.max(times);
    }
    (fewest.min(most), most)
}
