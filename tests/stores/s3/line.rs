//! A line between a node and S3 that can be cut and stopped, at the byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::support::backends::address_of;

/// What a connection suffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Whole,
    /// It ends behind so many bytes of requests.
    CutRequests(usize),
    /// Nothing comes through behind so many bytes of requests.
    StopRequests(usize),
    /// It ends behind so many bytes of answers.
    CutAnswers(usize),
}

/// Lines to one service.
pub struct Line {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    service: SocketAddr,
    fates: Mutex<Box<dyn FnMut() -> Fate + Send>>,
    connections: Mutex<Vec<TcpStream>>,
}

impl Line {
    /// A line that does what it should, until told otherwise.
    pub fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("a port");
        let state = Arc::new(State {
            service: address_of(url),
            fates: Mutex::new(Box::new(|| Fate::Whole)),
            connections: Mutex::default(),
        });
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                accepting.connect(stream);
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What each connection from now on is to suffer. Those that stand are ended.
    pub fn set(&self, fates: impl FnMut() -> Fate + Send + 'static) {
        *lock(&self.state.fates) = Box::new(fates);
        for connection in lock(&self.state.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl State {
    fn connect(&self, node: TcpStream) {
        let service = TcpStream::connect(self.service).expect("a connection to the service");
        let fate = lock(&self.fates)();
        for stream in [&node, &service] {
            stream.set_nodelay(true).expect("set");
            lock(&self.connections).push(stream.try_clone().expect("a second handle"));
        }
        let (up, down) = match fate {
            Fate::Whole => (End::None, End::None),
            Fate::CutRequests(bytes) => (End::Cut(bytes), End::None),
            Fate::StopRequests(bytes) => (End::Stop(bytes), End::None),
            Fate::CutAnswers(bytes) => (End::None, End::Cut(bytes)),
        };
        carry(&node, &service, up);
        carry(&service, &node, down);
    }
}

#[derive(Clone, Copy)]
enum End {
    None,
    Cut(usize),
    Stop(usize),
}

/// Carries bytes one way, in a thread of its own.
fn carry(from: &TcpStream, to: &TcpStream, end: End) {
    let (mut from, mut to) = (
        from.try_clone().expect("a second handle"),
        to.try_clone().expect("a second handle"),
    );
    thread::spawn(move || {
        let mut left = match end {
            End::None => usize::MAX,
            End::Cut(bytes) | End::Stop(bytes) => bytes,
        };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            let carried = read.min(left);
            left -= carried;
            if read == 0 || to.write_all(&buffer[..carried]).is_err() {
                break;
            }
            match end {
                End::Cut(_) if left == 0 => break,
                // The node's socket fills up, and nobody says anything.
                End::Stop(_) if left == 0 => thread::sleep(Duration::from_secs(3600)),
                _ => {}
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic before")
}
