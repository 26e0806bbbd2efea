//! Requests of the test client.

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) method: String,
    pub(super) target: String,
    host: bool,
    /// Header lines as they are sent, each with its line end.
    lines: Vec<u8>,
    body: Body,
}

/// Framing of a body.
#[derive(Debug, Clone)]
enum Body {
    /// No body and no header for one.
    None,
    /// `Content-Length`, also for an empty body.
    Sized(Vec<u8>),
    /// `Transfer-Encoding: chunked`, with these chunks; none of them is empty.
    Chunked(Vec<Vec<u8>>),
}

impl Request {
    /// Returns a request without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: true,
            lines: Vec::new(),
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

    /// Adds a header; its value is sent byte for byte.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.lines.extend_from_slice(name.as_bytes());
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value.as_ref());
        self.lines.extend_from_slice(b"\r\n");
        self
    }

    /// Adds several headers.
    pub fn headers(self, headers: &[(&str, &str)]) -> Self {
        let add = |request: Self, (name, value): &(&str, &str)| request.header(name, value);
        headers.iter().fold(self, add)
    }

    /// Adds header lines as they are sent, separated by line ends.
    pub fn lines(mut self, lines: &str) -> Self {
        if !lines.is_empty() {
            self.lines.extend_from_slice(lines.as_bytes());
            self.lines.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Omits `Host`.
    pub fn without_host(mut self) -> Self {
        self.host = false;
        self
    }

    /// Adds a body with its length.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Sized(bytes.into());
        self
    }

    /// Adds a body in chunks.
    pub fn chunked<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        let chunks = chunks.into_iter().map(|chunk| chunk.as_ref().to_vec());
        self.body = Body::Chunked(chunks.collect());
        self
    }

    /// Announces a body of this length, which the test sends itself.
    pub fn announce(self, len_bytes: u64) -> Self {
        self.header("Content-Length", len_bytes.to_string())
    }

    /// Announces chunks, which the test sends itself.
    pub fn announce_chunks(self) -> Self {
        self.header("Transfer-Encoding", "chunked")
    }

    /// Returns the head as it is sent, including the blank line.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if self.host {
            out.extend_from_slice(b"Host: 127.0.0.1\r\n");
        }
        out.extend_from_slice(&self.lines);
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

    pub(super) fn body_bytes(&self) -> Vec<u8> {
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

/// End of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Returns a chunk as it is sent.
pub fn chunk_bytes(data: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", data.len()).into_bytes();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    out
}
