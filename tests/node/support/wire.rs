//! A client that sends exactly the bytes it is given and shows exactly what comes back.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use super::PATIENCE;

/// One connection to a server.
pub struct Wire {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case; values as bytes, one to a char where they are not UTF-8.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The status of the image in its metadata.
    pub fn image_status(&self) -> Option<&str> {
        self.header("x-image-meta-status")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {}", self.text());
        })
    }
}

impl Wire {
    pub fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more is sent.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// A request with a body of a stated length.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let head = head(method, path, headers, Some(body.len()));
        self.send(head.as_bytes())?;
        // Who refuses early may close before everything is sent; its answer counts.
        let sent = self.send(body);
        match self.answer_to(method) {
            Err(error) => Err(sent.err().unwrap_or(error)),
            answered => answered,
        }
    }

    /// Sends a body in chunks of the sizes that `next_size` gives, and the last one.
    pub fn send_chunked(
        &mut self,
        mut body: &[u8],
        mut next_size: impl FnMut() -> usize,
    ) -> io::Result<()> {
        while !body.is_empty() {
            let (chunk, rest) = body.split_at(next_size().clamp(1, body.len()));
            let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
            self.send(&framed)?;
            body = rest;
        }
        self.send(b"0\r\n\r\n")
    }

    /// The answer to a request with this method; interim answers are passed over.
    pub fn answer_to(&mut self, method: &str) -> io::Result<Answer> {
        loop {
            let mut answer = self.head()?;
            if (100..200).contains(&answer.status) {
                continue;
            }
            let length = answer.header("content-length").unwrap_or("0");
            let length: usize = length.parse().map_err(io::Error::other)?;
            if method != "HEAD" && answer.status != 304 {
                answer.body = self.exactly(length)?;
            }
            return Ok(answer);
        }
    }

    /// The head of an answer, its body unread.
    pub fn head(&mut self) -> io::Result<Answer> {
        let end = loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                break end;
            }
            self.read_more()?;
        };
        let rest = self.unread.split_off(end + 4);
        let head = std::mem::replace(&mut self.unread, rest);
        parse_head(&head[..end])
    }

    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < count {
            self.read_more()?;
        }
        let rest = self.unread.split_off(count);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    /// Everything until the server closes; an error when it has not within `limit`. A reset
    /// is an end too.
    pub fn until_closed(&mut self, limit: Duration) -> io::Result<Vec<u8>> {
        self.stream.set_read_timeout(Some(limit))?;
        loop {
            match self.read_more() {
                Ok(()) => {}
                Err(error) if is_timeout(&error) => return Err(error),
                Err(_) => return Ok(std::mem::take(&mut self.unread)),
            }
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            // The machine was stopped meanwhile; a socket with a time limit says so.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }
}

/// A request's head. `headers` are whole lines without the last line end.
pub fn head(method: &str, path: &str, headers: &str, length: Option<usize>) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    if !headers.is_empty() {
        head.push_str(headers);
        head.push_str("\r\n");
    }
    if let Some(length) = length.filter(|length| *length > 0 || method != "GET") {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head + "\r\n"
}

fn parse_head(head: &[u8]) -> io::Result<Answer> {
    let malformed = || io::Error::other(format!("no answer: {}", String::from_utf8_lossy(head)));
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().and_then(|line| {
        let code = line
            .strip_prefix(b"HTTP/1.1 ")
            .or(line.strip_prefix(b"HTTP/1.0 "))?;
        std::str::from_utf8(code.get(..3)?).ok()?.parse().ok()
    });
    let mut answer = Answer {
        status: status.ok_or_else(malformed)?,
        headers: Vec::new(),
        body: Vec::new(),
    };
    for line in lines {
        let colon = find(line, b":").ok_or_else(malformed)?;
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        answer
            .headers
            .push((name, text_of(line[colon + 1..].trim_ascii())));
    }
    Ok(answer)
}

fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// How many answers there are in what a connection sent.
pub fn count_answers(sent: &[u8]) -> usize {
    let is_start = |window: &&[u8]| window.starts_with(b"HTTP/1.1 ") && window[9].is_ascii_digit();
    sent.windows(10).filter(is_start).count()
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
