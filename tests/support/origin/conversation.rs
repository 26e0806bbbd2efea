//! A connection of a scripted origin: reads requests and sends responses.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use socket2::SockRef;

use super::answer::{Answer, Event, Framing, Ranges};
use super::request::{Part, parse_head, part};
use super::{Seen, State};

/// Longest head of a request.
const MAX_HEAD_BYTES: usize = 64 * 1024;

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// State of a connection after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    /// Closed, with a TLS close_notify.
    Close,
    /// Closed without notice.
    Cut,
    Reset,
}

/// Answers the requests of a connection until it ends.
pub(super) fn serve(stream: TcpStream, connection: usize, state: &State) {
    // Otherwise a body that follows its head would be unread when the connection is closed, which
    // resets it.
    stream.set_nodelay(true).expect("an option of a socket");
    let mut stream = match &state.tls {
        None => Stream::Plain(stream),
        Some(config) => {
            let tls = ServerConnection::new(config.clone()).expect("settings of TLS");
            Stream::Tls(Box::new(StreamOwned::new(tls, stream)))
        }
    };
    // A disconnected client is not an error here; the test checks what it expects.
    let then = converse(&mut stream, connection, state).unwrap_or(Then::Cut);
    // The other handle keeps the connection open.
    state.connections.lock().unwrap().remove(&connection);
    stream.end(then);
}

fn converse(stream: &mut Stream, connection: usize, state: &State) -> io::Result<Then> {
    let mut ahead = Vec::new();
    while let Some(mut seen) = read_head(stream, &mut ahead)? {
        seen.connection = connection;
        let position = {
            let mut log = state.log.lock().unwrap();
            let before = log.iter().filter(|other| other.method == seen.method);
            seen.turn = before.count();
            log.push(seen.clone());
            log.len() - 1
        };
        let answer = (state.script)(&seen);
        let mut sender = Sender {
            stream,
            state,
            position,
            at: 0,
            answer: &answer,
        };
        match sender.answer(&seen)? {
            Then::Keep => {}
            then => return Ok(then),
        }
    }
    Ok(Then::Close)
}

impl Stream {
    fn end(self, then: Then) {
        if then == Then::Reset {
            let linger = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
            linger.expect("an option of a socket");
        }
        if let (Then::Close, Self::Tls(mut tls)) = (then, self) {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &tls.sock,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(tls) => {
                tls.write_all(bytes)?;
                tls.flush()
            }
        }
    }
}

/// Sends one response.
struct Sender<'a> {
    stream: &'a mut Stream,
    state: &'a State,
    /// Index of the request in the log.
    position: usize,
    /// Offset of the next byte of the content.
    at: u64,
    answer: &'a Answer,
}

impl Sender<'_> {
    fn answer(&mut self, seen: &Seen) -> io::Result<Then> {
        let size_bytes = self.state.content.size_bytes;
        let (status, range) = match part(self.answer, seen, size_bytes) {
            Part::Status(status) => return self.send_status(status, seen),
            Part::Whole => (200, 0..size_bytes),
            Part::Range(range) => (206, range),
        };
        let head = self.head(status, &range);
        self.stream.write_all(head.as_bytes())?;
        if seen.method == "HEAD" {
            return Ok(Then::Keep);
        }
        self.at = range.start;
        self.state.log.lock().unwrap()[self.position].sent = range.start..range.start;
        let end = if self.answer.is_endless {
            u64::MAX
        } else {
            range.end
        };
        for (after_bytes, event) in &self.answer.events {
            self.send_until((range.start + after_bytes).min(end))?;
            match event {
                Event::Cut => return Ok(Then::Cut),
                Event::Reset => return Ok(Then::Reset),
                Event::Pause(pause) => thread::sleep(*pause),
                Event::Hold(hold) => hold.wait(),
                Event::Hang => return self.hang(),
            }
        }
        self.send_until(end)?;
        self.finish()
    }

    fn head(&self, status: u16, range: &Range<u64>) -> String {
        let (answer, size_bytes) = (self.answer, self.state.content.size_bytes);
        let mut head = start_line(status);
        head += "Content-Type: application/octet-stream\r\n";
        head += &format!("ETag: {}\r\n", answer.etag);
        if answer.ranges != Ranges::Ignored {
            head += "Accept-Ranges: bytes\r\n";
        }
        if status == 206 {
            let last = range.end - 1;
            head += &format!(
                "Content-Range: bytes {}-{last}/{size_bytes}\r\n",
                range.start
            );
        }
        head += &match answer.framing {
            Framing::Length => format!("Content-Length: {}\r\n", range.end - range.start),
            Framing::FalseLength(bytes) => format!("Content-Length: {bytes}\r\n"),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            Framing::Close => "Connection: close\r\n".to_owned(),
        };
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    fn send_status(&mut self, status: u16, seen: &Seen) -> io::Result<Then> {
        let body = format!("This is {status}.\n");
        let mut head = start_line(status);
        head += &format!("Content-Length: {}\r\n", body.len());
        for (name, value) in &self.answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        if seen.method != "HEAD" {
            head += &body;
        }
        self.stream.write_all(head.as_bytes())?;
        Ok(Then::Keep)
    }

    /// Sends the content up to this offset at the configured rate.
    fn send_until(&mut self, limit: u64) -> io::Result<()> {
        while self.at < limit {
            let step = self.answer.pace.map_or(u64::MAX, |(bytes, _)| bytes);
            let state = self.state;
            let piece = state
                .content
                .piece(self.at, limit.min(self.at.saturating_add(step)));
            // Recorded before it is sent, so that a test which received it finds it in the log.
            let end = self.at + piece.len() as u64;
            state.log.lock().unwrap()[self.position].sent.end = end;
            self.send_piece(piece)?;
            self.at = end;
            if let Some((_, pause)) = self.answer.pace {
                thread::sleep(pause);
            }
        }
        Ok(())
    }

    fn send_piece(&mut self, piece: &[u8]) -> io::Result<()> {
        let wrong_at = self.answer.wrong_at.and_then(|at| at.checked_sub(self.at));
        let mut changed;
        let mut piece = piece;
        if let Some(at) = wrong_at.filter(|at| *at < piece.len() as u64) {
            changed = piece.to_vec();
            changed[at as usize] ^= 1;
            piece = &changed;
        }
        if self.answer.framing != Framing::Chunked {
            return self.stream.write_all(piece);
        }
        let size = format!("{:x}\r\n", piece.len());
        self.stream.write_all(size.as_bytes())?;
        self.stream.write_all(piece)?;
        self.stream.write_all(b"\r\n")
    }

    fn finish(&mut self) -> io::Result<Then> {
        match self.answer.framing {
            Framing::Length => Ok(Then::Keep),
            Framing::FalseLength(_) | Framing::Close => Ok(Then::Close),
            Framing::Chunked => {
                self.stream.write_all(b"0\r\n\r\n")?;
                Ok(Then::Keep)
            }
        }
    }

    /// Waits until the client closes the connection.
    fn hang(&mut self) -> io::Result<Then> {
        let mut buffer = [0; 1024];
        while self.stream.read(&mut buffer)? > 0 {}
        Ok(Then::Cut)
    }
}

fn start_line(status: u16) -> String {
    let known = http::StatusCode::from_u16(status).ok();
    let reason = known.and_then(|status| status.canonical_reason());
    format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Other"))
}

/// Returns the next request; `None` if the client closes the connection.
fn read_head(stream: &mut Stream, ahead: &mut Vec<u8>) -> io::Result<Option<Seen>> {
    let end = loop {
        if let Some(end) = ahead.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer)?;
        if count == 0 || ahead.len() > MAX_HEAD_BYTES {
            return Ok(None);
        }
        ahead.extend_from_slice(&buffer[..count]);
    };
    let head: Vec<u8> = ahead.drain(..end).collect();
    parse_head(&head).map(Some)
}
