//! One connection and where it is in its request.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use super::answer::{self, Answer};
use super::body::Body;
use super::sys;
use super::tally::Tally;

/// Room for the head of an answer and the begin of its body.
const HEAD_BYTES: usize = 16 * 1024;

/// Most bytes discarded by one call.
const DISCARD_BYTES: u64 = 4 << 20;

/// Calls on one connection before the others have their turn.
const TURN_CALLS: usize = 16;

/// Where a connection is.
enum State {
    /// No request under way.
    Idle,
    /// This many bytes of the request's head are sent.
    SendHead(usize),
    /// This many bytes of the upload are sent.
    SendBody(u64),
    /// Waiting for the head of the answer.
    ReadHead,
    /// This many bytes of the answer's body are still to come.
    ReadBody(u64),
}

/// What a connection waits for after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// For bytes to read.
    Read,
    /// For room to write.
    Write,
    /// For its next request: the answer is complete.
    Request,
    /// For a new connection: the server ended this one.
    Connect,
}

pub struct Connection {
    stream: TcpStream,
    state: State,
    /// What epoll was told to wait for.
    pub interest: u32,
    /// The head of the request under way.
    pub request: Vec<u8>,
    started: Instant,
    /// When its request should begin.
    pub due: Instant,
    head: Vec<u8>,
    answer: Option<Answer>,
    /// Bytes it has received in all.
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

    /// Begins the request whose head was put into `request`; its latency counts from
    /// `started`.
    pub fn begin(&mut self, started: Instant) {
        self.state = State::SendHead(0);
        self.started = started;
        self.head.clear();
        self.answer = None;
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Sends and receives until the socket or `allowance`, the bytes it may receive, is
    /// used up.
    ///
    /// # Errors
    /// When the answer cannot be understood; the run ends then.
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
        // An answer that came before the upload was through says why.
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

    /// Notes how much of the body is still to come.
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

/// Makes an error of the end of the stream.
fn some(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        other => other,
    }
}
