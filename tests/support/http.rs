//! A small HTTP/1.1 client over a plain socket.
//!
//! It adds nothing to a request but `Host` and the framing of the body, and both can be left
//! out; it hides nothing of an answer. For requests no client would send, write bytes with
//! [`Connection::send_bytes`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    host: bool,
    body: Body,
}

/// How a body is framed.
#[derive(Debug, Clone)]
pub enum Body {
    /// No body and no header about one.
    None,
    /// `Content-Length`, also for no bytes at all.
    Sized(Vec<u8>),
    /// `Transfer-Encoding: chunked`, with these chunks; none of them is empty.
    Chunked(Vec<Vec<u8>>),
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            host: true,
            body: Body::None,
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn head(target: &str) -> Self {
        Self::new("HEAD", target)
    }

    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    pub fn put(target: &str) -> Self {
        Self::new("PUT", target)
    }

    pub fn delete(target: &str) -> Self {
        Self::new("DELETE", target)
    }

    /// Adds a header; the value goes out byte for byte.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds several headers.
    pub fn headers(self, headers: &[(&str, &str)]) -> Self {
        let add = |request: Self, (name, value): &(&str, &str)| request.header(name, value);
        headers.iter().fold(self, add)
    }

    /// Leaves `Host` out.
    pub fn without_host(mut self) -> Self {
        self.host = false;
        self
    }

    /// A body of a stated length.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Sized(bytes.into());
        self
    }

    /// A body in chunks.
    pub fn chunked<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        let chunks = chunks.into_iter().map(|chunk| chunk.as_ref().to_vec());
        self.body = Body::Chunked(chunks.collect());
        self
    }

    /// The head as it goes out, blank line included.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if self.host {
            out.extend_from_slice(b"Host: 127.0.0.1\r\n");
        }
        for (name, value) in &self.headers {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        match &self.body {
            Body::None => {}
            Body::Sized(bytes) => {
                out.extend_from_slice(format!("Content-Length: {}\r\n", bytes.len()).as_bytes());
            }
            Body::Chunked(_) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn body_bytes(&self) -> Vec<u8> {
        match &self.body {
            Body::None => Vec::new(),
            Body::Sized(bytes) => bytes.clone(),
            Body::Chunked(chunks) => {
                let mut out: Vec<u8> = chunks.iter().flat_map(|chunk| chunk_bytes(chunk)).collect();
                out.extend_from_slice(LAST_CHUNK);
                out
            }
        }
    }
}

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// One chunk as it goes out.
pub fn chunk_bytes(data: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", data.len()).into_bytes();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    out
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    pub status: u16,
    pub version: String,
    /// In order and as spelled, values byte for byte.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl ResponseHead {
    /// The one value of a header, as text; `None` when it is not there.
    ///
    /// # Panics
    /// When it is there twice, or is not UTF-8.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.header_bytes(name)?;
        Some(std::str::from_utf8(value).expect("a header in UTF-8"))
    }

    /// As [`ResponseHead::header`], in bytes.
    #[track_caller]
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        let is_it = |(own, _): &&(String, Vec<u8>)| own.eq_ignore_ascii_case(name);
        let mut values = self.headers.iter().filter(is_it);
        let value = values.next().map(|(_, value)| value.as_slice());
        assert!(values.next().is_none(), "{name} came twice");
        value
    }
}

/// An answer with its body.
#[derive(Debug, Clone)]
pub struct Response {
    pub head: ResponseHead,
    pub body: Vec<u8>,
}

impl std::ops::Deref for Response {
    type Target = ResponseHead;

    fn deref(&self) -> &ResponseHead {
        &self.head
    }
}

impl Response {
    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON or does not say that it is.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Passes the answer on if its status is this one.
    ///
    /// # Panics
    /// With the whole answer when it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]);
        assert_eq!(self.status, status, "{:?}\n{body}", self.head);
        self
    }
}

/// One connection. Reads end with an error after [`PATIENCE`].
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Read but not yet used.
    ahead: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// What the system says.
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

    /// The socket, for what is not foreseen here.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// What the system says; a server that has refused the request may have closed.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request's head and not its body.
    pub fn send_head(&mut self, request: &Request) -> io::Result<()> {
        self.send_bytes(&request.head_bytes())
    }

    /// Sends a whole request.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut bytes = request.head_bytes();
        bytes.extend_from_slice(&request.body_bytes());
        self.send_bytes(&bytes)
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Sends a request and reads its answer. A server may answer and close before it has
    /// read a body that it refuses; the answer counts then.
    ///
    /// # Errors
    /// When the connection breaks before the answer is whole.
    pub fn exchange(&mut self, request: &Request) -> io::Result<Response> {
        match self.send(request) {
            Err(error) if is_closed(&error) => {}
            other => other?,
        }
        self.read_response(&request.method)
    }

    /// As [`Connection::exchange`], for answers that must come.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    pub fn request(&mut self, request: &Request) -> Response {
        match self.exchange(request) {
            Ok(response) => response,
            Err(error) => panic!("{} {}: {error}", request.method, request.target),
        }
    }

    /// Reads the next head, be it interim (1xx) or not.
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

    /// Reads the next answer to a request with this method. Interim answers are an error;
    /// who expects one reads it with [`Connection::read_head`].
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

    /// Reads exactly so many bytes of whatever comes next.
    pub fn read_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < count {
            self.read_more()?;
        }
        Ok(self.ahead.drain(..count).collect())
    }

    /// Reads until the server closes.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.ahead);
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether the server closes the connection without another byte, within [`PATIENCE`].
    pub fn is_closed_by_server(&mut self) -> bool {
        match self.read_to_end() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => is_closed(&error),
        }
    }

    /// Whether nothing comes for so long.
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

/// Reads on when the machine was stopped meanwhile: a socket with a time limit says so.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn parse_head(head: &[u8]) -> io::Result<ResponseHead> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let status_line = lines.next().unwrap_or_default();
    let status_line = String::from_utf8_lossy(status_line.trim_ascii_end()).into_owned();
    let mut words = status_line.splitn(3, ' ');
    let version = words.next().unwrap_or_default().to_owned();
    let status = words.next().and_then(|word| word.parse().ok());
    let headers = lines.map(|line| {
        let colon = line.iter().position(|byte| *byte == b':');
        let colon = colon.ok_or_else(|| invalid("a header line"))?;
        let name = String::from_utf8_lossy(&line[..colon]).into_owned();
        Ok((name, line[colon + 1..].trim_ascii().to_vec()))
    });
    Ok(ResponseHead {
        status: status.ok_or_else(|| invalid("a status line"))?,
        version,
        headers: headers.collect::<io::Result<_>>()?,
    })
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not wanted here: {what}"))
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
