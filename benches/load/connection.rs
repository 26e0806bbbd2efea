//! A connection and the state of its request.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use super::answer::{self, Answer};
use super::body::Body;
use super::sys;
use super::tally::Tally;

/// Size of the buffer for the head of a response and the beginning of its body.
const HEAD_BYTES: usize = 16 * 1024;

/// The most bytes that one call discards.
const DISCARD_BYTES: u64 = 4 << 20;

/// The most calls on one connection before the other connections are served.
const TURN_CALLS: usize = 16;

/// The state of a connection.
enum State {
    /// No request in progress.
    Idle,
    /// This many bytes of the request head were sent.
    SendHead(usize),
    /// This many bytes of the upload were sent.
    SendBody(u64),
    /// Waiting for the head of the response.
    ReadHead,
    /// This many bytes of the response body are still expected.
    ReadBody(u64),
}

/// The condition for which a connection waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Readable.
    Read,
    /// Writable.
    Write,
    /// The next request; the response is complete.
    Request,
    /// A new connection; the server closed this one.
    Connect,
}

pub struct Connection {
    stream: TcpStream,
    state: State,
    /// The events registered with epoll.
    pub interest: u32,
    /// The head of the current request.
    pub request: Vec<u8>,
    started: Instant,
    /// The time at which the current request should begin.
    pub due: Instant,
    head: Vec<u8>,
    answer: Option<Answer>,
    /// Total number of received bytes.
    pub received: u64,
}

impl Connection {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            state: State::Idle,
            interest: sys::READ,
            request: Vec::new(),
            started: Instant::now(),
            due: Instant::now(),
            head: Vec::with_capacity(HEAD_BYTES),
            answer: None,
            received: 0,
        })
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Begins the request whose head is in `request`. Its latency is measured from `started`.
    pub fn begin(&mut self, started: Instant) {
        self.state = State::SendHead(0);
        self.started = started;
        self.head.clear();
        self.answer = None;
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Sends and receives until the socket would block or `allowance` bytes were received.
    ///
    /// # Errors
    /// When the response is invalid, which ends the run.
    pub fn turn(
        &mut self,
        tally: &mut Tally,
        body: Option<&Body>,
        allowance: u64,
    ) -> Result<Waits, String> {
        let before = self.received;
        for _ in 0..TURN_CALLS {
            let left = allowance.saturating_sub(self.received - before);
            let step = match self.state {
                State::Idle => return Ok(Waits::Request),
                _ if left == 0 => return Ok(Waits::Read),
                State::SendHead(sent) => self.send_head(sent, body),
                State::SendBody(sent) => self.send_body(sent, body, tally),
                State::ReadHead => self.read_head(tally)?,
                State::ReadBody(body_left) => self.read_body(body_left, left, tally),
            };
            match step {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(self.waits()),
                Err(error) => return Ok(self.broken(&error, tally)),
            }
            if self.is_idle() {
                return Ok(self.after_answer());
            }
        }
        Ok(self.waits())
    }

    fn waits(&self) -> Waits {
        match self.state {
            State::SendHead(_) | State::SendBody(_) => Waits::Write,
            _ => Waits::Read,
        }
    }

    fn after_answer(&self) -> Waits {
        if self.answer.as_ref().is_some_and(|answer| answer.closes) {
            Waits::Connect
        } else {
            Waits::Request
        }
    }

    fn broken(&mut self, error: &io::Error, tally: &mut Tally) -> Waits {
        // A response before the end of the upload is an error, and states the reason.
        let early = self.stream.read(&mut [0; 256]).is_ok_and(|count| count > 0);
        let word = if early { " (it had answered)" } else { "" };
        tally.fail(format!("connection lost: {error}{word}"));
        self.state = State::Idle;
        Waits::Connect
    }

    fn send_head(&mut self, sent: usize, body: Option<&Body>) -> io::Result<()> {
        let sent = sent + self.stream.write(&self.request[sent..])?;
        self.state = if sent < self.request.len() {
            State::SendHead(sent)
        } else if body.is_some() {
            State::SendBody(0)
        } else {
            State::ReadHead
        };
        Ok(())
    }

    fn send_body(&mut self, sent: u64, body: Option<&Body>, tally: &mut Tally) -> io::Result<()> {
        let Some(body) = body else {
            self.state = State::ReadHead;
            return Ok(());
        };
        if sent < body.wire_bytes() {
            let count = body.send(self.fd(), sent)? as u64;
            tally.bytes_out += count;
            self.state = State::SendBody(sent + count);
        } else {
            self.state = State::ReadHead;
        }
        Ok(())
    }

    fn read_head(&mut self, tally: &mut Tally) -> Result<io::Result<()>, String> {
        let begun = self.head.len();
        self.head.resize(begun + HEAD_BYTES, 0);
        let result = some(self.stream.read(&mut self.head[begun..]));
        self.head.truncate(begun + *result.as_ref().unwrap_or(&0));
        let count = match result {
            Ok(count) => count,
            Err(error) => return Ok(Err(error)),
        };
        self.received += count as u64;
        tally.bytes_in += count as u64;
        if let Some(answer) = answer::parse(&self.head)? {
            let of_body = (self.head.len() - answer.head_bytes) as u64;
            let is_head = self.request.starts_with(b"HEAD");
            let announced = if is_head { 0 } else { answer.body_bytes };
            let left = announced.checked_sub(of_body);
            let left = left.ok_or("more bytes than the answer announced")?;
            self.answer = Some(answer);
            self.came(left, tally);
        }
        Ok(Ok(()))
    }

    fn read_body(&mut self, left: u64, allowance: u64, tally: &mut Tally) -> io::Result<()> {
        let most = left.min(allowance).min(DISCARD_BYTES);
        let count = some(sys::discard(self.fd(), most as usize))? as u64;
        self.received += count;
        tally.bytes_in += count;
        self.came(left - count, tally);
        Ok(())
    }

    /// Updates the number of bytes of the body that are still expected.
    fn came(&mut self, left: u64, tally: &mut Tally) {
        self.state = State::ReadBody(left);
        if left == 0 {
            self.state = State::Idle;
            if let Some(answer) = self.answer.clone() {
                tally.answered(answer, &self.head, self.started.elapsed());
            }
        }
    }
}

/// Converts the end of the stream to an error.
fn some(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        other => other,
    }
}
