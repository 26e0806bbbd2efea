//! A connection to a server, over a plain socket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::super::PATIENCE;
use super::request::{LAST_CHUNK, Request, chunk_bytes};
use super::response::{Response, ResponseHead, invalid, parse_head};

/// A connection. Reads fail after [`PATIENCE`].
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Bytes that were read and not used yet.
    ahead: Vec<u8>,
}

impl Connection {
    /// Connects to a server.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            ahead: Vec::new(),
        })
    }

    /// Returns the socket, for uses that this type does not cover.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes unchanged.
    ///
    /// # Errors
    /// Returns the error of the system; a server that rejected the request may have closed the
    /// connection.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends the head of a request without its body.
    pub fn send_head(&mut self, request: &Request) -> io::Result<()> {
        self.send_bytes(&request.head_bytes())
    }

    /// Sends a whole request.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut bytes = request.head_bytes();
        bytes.extend_from_slice(&request.body_bytes());
        self.send_bytes(&bytes)
    }

    /// Sends a body in chunks of the sizes that `next_size` gives, and the last one.
    pub fn send_chunks(
        &mut self,
        mut body: &[u8],
        mut next_size: impl FnMut() -> usize,
    ) -> io::Result<()> {
        while !body.is_empty() {
            let (chunk, rest) = body.split_at(next_size().clamp(1, body.len()));
            self.send_bytes(&chunk_bytes(chunk))?;
            body = rest;
        }
        self.send_bytes(LAST_CHUNK)
    }

    /// Closes the sending direction.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Sends a request and reads its response. A server may answer and close before it has read the
    /// body; the response counts in that case.
    ///
    /// # Errors
    /// Returns an error if the connection breaks before the response is complete.
    pub fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        match self.send(request) {
            Err(error) if is_closed(&error) => {}
            other => other?,
        }
        self.read_response(&request.method)
    }

    /// Sends a request given by its parts; `lines` are header lines separated by line ends. POST
    /// and PUT always state the length of their body, other methods only for a body that is not
    /// empty.
    ///
    /// # Errors
    /// Returns an error if the connection breaks before the response is complete.
    pub fn ask(
        &mut self,
        method: &str,
        target: &str,
        lines: &str,
        body: &[u8],
    ) -> io::Result<Response> {
        let request = Request::new(method, target).lines(lines);
        if body.is_empty() && !matches!(method, "POST" | "PUT") {
            return self.exchange(&request);
        }
        self.exchange(&request.body(body))
    }

    /// Does the same as [`Connection::exchange`] for a response that must arrive.
    ///
    /// # Panics
    /// Panics if none arrives.
    #[track_caller]
    pub fn request(&mut self, request: &Request) -> Response {
        match self.exchange(request) {
            Ok(response) => response,
            Err(error) => panic!("{} {}: {error}", request.method, request.target),
        }
    }

    /// Reads the next head, which may be interim (1xx).
    pub fn read_head(&mut self) -> io::Result<ResponseHead> {
        let end = loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.read_more()?;
        };
        let head: Vec<u8> = self.ahead.drain(..end + 4).collect();
        parse_head(&head[..end])
    }

    /// Reads the response to a request with this method. An interim response is an error; read it
    /// with [`Connection::read_head`] if it is expected.
    pub fn read_response(&mut self, method: &str) -> io::Result<Response> {
        let head = self.read_head()?;
        let body = self.read_body(&head, method)?;
        Ok(Response { head, body })
    }

    fn read_body(&mut self, head: &ResponseHead, method: &str) -> io::Result<Vec<u8>> {
        match head.status {
            100..=199 => return Err(invalid("an interim answer")),
            204 | 304 => return Ok(Vec::new()),
            _ if method == "HEAD" => return Ok(Vec::new()),
            _ => {}
        }
        if head.header("transfer-encoding") == Some("chunked") {
            return self.read_chunks();
        }
        match head.header("content-length") {
            Some(length) => {
                let length = length.parse().map_err(|_| invalid("Content-Length"))?;
                self.read_bytes(length)
            }
            None => self.read_to_end(),
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = usize::from_str_radix(&line, 16).map_err(|_| invalid("a chunk's size"))?;
            body.extend(self.read_bytes(size)?);
            if !self.read_line()?.is_empty() {
                return Err(invalid("a chunk's end"));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.read_more()?;
        }
    }

    /// Reads exactly this number of bytes.
    pub fn read_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < count {
            self.read_more()?;
        }
        Ok(self.ahead.drain(..count).collect())
    }

    /// Reads until the server closes the connection.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.ahead);
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Returns all bytes until the server closes or resets the connection.
    ///
    /// # Errors
    /// Returns an error if it does neither within the time.
    pub fn until_closed(&mut self, limit: Duration) -> io::Result<Vec<u8>> {
        self.stream.set_read_timeout(Some(limit))?;
        loop {
            match self.read_more() {
                Ok(()) => {}
                Err(error) if is_timeout(&error) => return Err(error),
                Err(_) => return Ok(std::mem::take(&mut self.ahead)),
            }
        }
    }

    /// Returns true if the server closes the connection without another byte within [`PATIENCE`].
    pub fn is_closed_by_server(&mut self) -> bool {
        match self.read_to_end() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => is_closed(&error),
        }
    }

    /// Returns true if no byte arrives within the time.
    pub fn is_silent_for(&mut self, time: Duration) -> io::Result<bool> {
        if !self.ahead.is_empty() {
            return Ok(false);
        }
        self.stream.set_read_timeout(Some(time))?;
        let mut byte = [0; 1];
        let read = read(&mut self.stream, &mut byte);
        self.stream.set_read_timeout(Some(PATIENCE))?;
        match read {
            Ok(count) => {
                self.ahead.extend_from_slice(&byte[..count]);
                Ok(false)
            }
            Err(error) if is_timeout(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut bytes = [0; 64 * 1024];
        let count = read(&mut self.stream, &mut bytes)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.ahead.extend_from_slice(&bytes[..count]);
        Ok(())
    }
}

/// Repeats a read that a stop of the machine interrupted, which a socket with a timeout reports.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
