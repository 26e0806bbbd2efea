//! A client that compares what it gets, byte by byte, and keeps nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest silence of a node.
const SILENCE: Duration = Duration::from_secs(120);

/// What a reader has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub status: u16,
    /// Bytes of the body.
    pub bytes: u64,
    /// Bytes of the body that the head promised.
    pub promised: u64,
    /// Whether all that came was right.
    pub is_right: bool,
}

impl Got {
    /// All that was promised has come.
    pub fn is_complete(&self) -> bool {
        self.status / 100 == 2 && self.bytes == self.promised
    }

    /// Complete and right.
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
    /// Sends GET of an image, with further header lines.
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

    /// Reads on until so many bytes of the body have come, or the end; `expected` are the
    /// bytes from the body's first on.
    pub fn read(mut self, expected: &[u8], most: u64) -> Got {
        let mut got = Got {
            status: 0,
            bytes: 0,
            promised: u64::MAX,
            is_right: true,
        };
        let mut buffer = vec![0; 256 * 1024];
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
            if let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") {
                let body = self.head.split_off(end + 4);
                (got.status, got.promised) = parse_head(&self.head);
                got.take(&body, expected);
            }
        }
        got
    }
}

impl Got {
    fn take(&mut self, bytes: &[u8], expected: &[u8]) {
        if self.status / 100 == 2 {
            let from = self.bytes as usize;
            let wanted = expected.get(from..from + bytes.len());
            self.is_right &= wanted == Some(bytes);
        }
        self.bytes += bytes.len() as u64;
    }
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

/// Reads bytes of an image by a range.
pub fn read_part(address: SocketAddr, id: &str, whole: &[u8], first: u64, len: u64) -> Got {
    let range = format!("Range: bytes={first}-{}\r\n", first + len - 1);
    let reader = Reader::send(address, id, &range).expect("a connection");
    reader.read(&whole[first as usize..(first + len) as usize], u64::MAX)
}
