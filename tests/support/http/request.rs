//! What is sent.

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) method: String,
    pub(super) target: String,
    host: bool,
    /// Header lines as they go out, each with its end.
    lines: Vec<u8>,
    body: Body,
}

/// How a body is framed.
#[derive(Debug, Clone)]
enum Body {
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

    /// Adds a header; the value goes out byte for byte.
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

    /// Adds header lines as they go out, with line ends between them and none at the end.
    pub fn lines(mut self, lines: &str) -> Self {
        if !lines.is_empty() {
            self.lines.extend_from_slice(lines.as_bytes());
            self.lines.extend_from_slice(b"\r\n");
        }
        self
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

    /// Says that a body of so many bytes follows, which the test sends by itself.
    pub fn announce(self, len_bytes: u64) -> Self {
        self.header("Content-Length", len_bytes.to_string())
    }

    /// Says that chunks follow, which the test sends by itself.
    pub fn announce_chunks(self) -> Self {
        self.header("Transfer-Encoding", "chunked")
    }

    /// The head as it goes out, blank line included.
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

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// One chunk as it goes out.
pub fn chunk_bytes(data: &[u8]) -> Vec<u8> {
    let mut out = format!("{:x}\r\n", data.len()).into_bytes();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    out
}
