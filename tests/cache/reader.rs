//! A client that compares the received bytes with the expected ones, and keeps nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest silence of a node.
const SILENCE: Duration = Duration::from_secs(120);

/// The result of a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub status: u16,
    /// Bytes of the body that were received.
    pub bytes: u64,
    /// Bytes of the body that the head announced.
    pub promised: u64,
    /// True if all received bytes were right.
    pub is_right: bool,
}

impl Got {
    /// Returns true if all announced bytes were received.
    pub fn is_complete(&self) -> bool {
        self.status / 100 == 2 && self.bytes == self.promised
    }

    /// Returns true if the body is complete and right.
    pub fn is_good(&self) -> bool {
        self.is_complete() && self.is_right
    }
}

/// An open request.
pub struct Reader {
    stream: TcpStream,
    head: Vec<u8>,
}

impl Reader {
    /// Sends GET of an image, with additional header lines.
    pub fn send(address: SocketAddr, id: &str, lines: &str) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let request =
            format!("GET /v1/images/{id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
        stream.write_all(request.as_bytes())?;
        Ok(Self {
            stream,
            head: Vec::new(),
        })
    }

    /// Waits until the response has started; before that the node may not have received the
    /// request.
    pub fn answered(mut self) -> Self {
        let mut buffer = [0; 4096];
        while head_end(&self.head).is_none() {
            let read = self.stream.read(&mut buffer).expect("an answer");
            assert!(read > 0, "no answer");
            self.head.extend_from_slice(&buffer[..read]);
        }
        self
    }

    /// Returns true if nothing more arrives within the duration.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        let is_bare = head_end(&self.head) == Some(self.head.len());
        let set = |time| self.stream.set_read_timeout(Some(time)).expect("an option");
        set(time);
        let nothing = self.stream.peek(&mut [0]).is_err_and(|error| {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        });
        set(SILENCE);
        is_bare && nothing
    }

    /// Reads until a number of bytes of the body was received, or the end. `expected` has the bytes
    /// of the body from its start.
    pub fn read(mut self, expected: &[u8], most: u64) -> Got {
        let mut got = Got {
            status: 0,
            bytes: 0,
            promised: u64::MAX,
            is_right: true,
        };
        let mut buffer = vec![0; 256 * 1024];
        got.take_head(&mut self.head, expected);
        while got.bytes < most.min(got.promised) {
            let read = match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if got.status != 0 {
                got.take(&buffer[..read], expected);
                continue;
            }
            self.head.extend_from_slice(&buffer[..read]);
            got.take_head(&mut self.head, expected);
        }
        got
    }
}

impl Got {
    /// Parses the head once it is complete, and takes the bytes after it.
    fn take_head(&mut self, head: &mut Vec<u8>, expected: &[u8]) {
        if let Some(end) = head_end(head) {
            let body = head.split_off(end);
            (self.status, self.promised) = parse_head(head);
            self.take(&body, expected);
        }
    }

    fn take(&mut self, bytes: &[u8], expected: &[u8]) {
        if self.status / 100 == 2 {
            let from = self.bytes as usize;
            let wanted = expected.get(from..from + bytes.len());
            self.is_right &= wanted == Some(bytes);
        }
        self.bytes += bytes.len() as u64;
    }
}

/// Returns the position of the body, if the head is complete.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    end.map(|end| end + 4)
}

fn parse_head(head: &[u8]) -> (u16, u64) {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok());
    (status.unwrap_or(0), length.unwrap_or(u64::MAX))
}

/// Reads a whole image.
pub fn read_image(address: SocketAddr, id: &str, expected: &[u8]) -> Got {
    let failed = Got {
        status: 0,
        bytes: 0,
        promised: u64::MAX,
        is_right: true,
    };
    Reader::send(address, id, "").map_or(failed, |reader| reader.read(expected, u64::MAX))
}

/// Reads a range of an image.
pub fn read_part(address: SocketAddr, id: &str, whole: &[u8], first: u64, len: u64) -> Got {
    let range = format!("Range: bytes={first}-{}\r\n", first + len - 1);
    let reader = Reader::send(address, id, &range).expect("a connection");
    reader.read(&whole[first as usize..(first + len) as usize], u64::MAX)
}
