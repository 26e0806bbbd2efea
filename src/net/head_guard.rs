//! What hyper hides about a request's head.
//!
//! hyper is lenient or silent where two servers in a row must not differ: it drops one of
//! Content-Length and Transfer-Encoding, joins repeated Content-Length lines, takes
//! `gzip, chunked` for chunked, lines that end in a bare LF, and requests with no Host or
//! two. Each of these can smuggle a second request past a proxy in front (RFC 9112, 3.2
//! and 6.3). The guard sees the same bytes before hyper does, follows the framing just far
//! enough to know where the next head begins, and reports what it found for each request.

/// Why a request is refused before anybody looks at what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("A line of the request ends in a line feed without a carriage return.")]
    BareLineFeed,
    #[error("The request has both Content-Length and Transfer-Encoding.")]
    TwoLengths,
    #[error("The request has more than one Content-Length.")]
    RepeatedContentLength,
    #[error("The only Transfer-Encoding served is chunked, stated once.")]
    TransferEncoding,
    #[error("An HTTP/1.1 request has exactly one Host.")]
    Host,
}

/// Longest line kept for a look at it; the lines that matter are shorter.
const LINE_KEPT: usize = 96;

/// Where in the stream the guard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a request line, where stray line ends are allowed.
    Between,
    RequestLine,
    HeaderLine,
    /// This many body bytes are to come.
    Body(u64),
    ChunkSize,
    /// This many bytes of a chunk and its line end are to come.
    Chunk(u64),
    Trailer,
    /// The framing is unknown; hyper ends such a connection.
    Lost,
}

/// What one head says about framing.
#[derive(Debug, Default)]
struct Head {
    violation: Option<Violation>,
    is_http_11: bool,
    hosts: u32,
    content_length: Option<u64>,
    content_lengths: u32,
    transfer_encodings: u32,
    chunked: bool,
}

/// Follows the bytes that a client sends on one connection.
#[derive(Debug)]
pub(super) struct HeadGuard {
    state: State,
    head: Head,
    line: Vec<u8>,
    /// The last bytes of the line so far: its carriage return, and a request line's version.
    tail: [u8; 9],
    /// Requests that have come in whole, bodies included.
    finished: u64,
}

impl HeadGuard {
    pub(super) fn new() -> Self {
        Self {
            state: State::Between,
            head: Head::default(),
            line: Vec::new(),
            tail: [0; 9],
            finished: 0,
        }
    }

    /// How many requests have come in whole, bodies included.
    pub(super) fn finished(&self) -> u64 {
        self.finished
    }

    /// Whether a request's body has not come in whole.
    pub(super) fn is_inside_body(&self) -> bool {
        !matches!(
            self.state,
            State::Between | State::RequestLine | State::HeaderLine
        )
    }

    /// Whether nothing of a next request has come in.
    pub(super) fn is_between(&self) -> bool {
        self.state == State::Between
    }

    /// Looks at bytes as they come in; `report` is called at the end of each head.
    pub(super) fn observe(&mut self, mut bytes: &[u8], mut report: impl FnMut(Option<Violation>)) {
        while !bytes.is_empty() {
            match self.state {
                State::Lost => return,
                State::Body(left) => {
                    bytes = self.skip(bytes, left, State::Body, State::Between);
                    self.count_if_finished();
                }
                State::Chunk(left) => {
                    bytes = self.skip(bytes, left, State::Chunk, State::ChunkSize)
                }
                State::Between if matches!(bytes[0], b'\r' | b'\n') => bytes = &bytes[1..],
                State::Between => self.state = State::RequestLine,
                _ => bytes = self.take_line(bytes, &mut report),
            }
        }
    }

    fn count_if_finished(&mut self) {
        self.finished += u64::from(self.state == State::Between);
    }

    fn skip<'a>(
        &mut self,
        bytes: &'a [u8],
        left: u64,
        same: fn(u64) -> State,
        next: State,
    ) -> &'a [u8] {
        let skipped = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let left = left - skipped as u64;
        self.state = if left == 0 { next } else { same(left) };
        &bytes[skipped..]
    }

    /// Adds to the current line; at its end, looks at it.
    fn take_line<'a>(
        &mut self,
        bytes: &'a [u8],
        report: &mut impl FnMut(Option<Violation>),
    ) -> &'a [u8] {
        let end = memchr::memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        self.keep(part);
        let Some(end) = end else { return &[] };
        let bare = self.tail[8] != b'\r';
        if !bare && self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        self.end_line(bare, report);
        self.line.clear();
        self.tail = [0; 9];
        &bytes[end + 1..]
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LINE_KEPT.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        let last = &part[part.len().saturating_sub(self.tail.len())..];
        self.tail.rotate_left(last.len());
        let at = self.tail.len() - last.len();
        self.tail[at..].copy_from_slice(last);
    }

    fn end_line(&mut self, bare: bool, report: &mut impl FnMut(Option<Violation>)) {
        match self.state {
            State::RequestLine => {
                self.head = Head {
                    is_http_11: self.tail.starts_with(b"HTTP/1.1"),
                    violation: bare.then_some(Violation::BareLineFeed),
                    ..Head::default()
                };
                self.state = State::HeaderLine;
            }
            State::HeaderLine if self.line.is_empty() => {
                if bare {
                    self.head.refuse(Violation::BareLineFeed);
                }
                self.state = self.head.finish();
                report(self.head.violation);
                self.count_if_finished();
            }
            State::HeaderLine => {
                if bare {
                    self.head.refuse(Violation::BareLineFeed);
                }
                self.head.look_at(&self.line);
            }
            // Readers differ about what such a line ends; nobody knows where the next head
            // begins, so that no head may be taken for sound.
            State::ChunkSize | State::Trailer if bare => self.state = State::Lost,
            State::ChunkSize => {
                self.state = match chunk_size(&self.line) {
                    Some(0) => State::Trailer,
                    Some(size) => State::Chunk(size.saturating_add(2)),
                    None => State::Lost,
                };
            }
            State::Trailer if self.line.is_empty() => {
                self.state = State::Between;
                self.count_if_finished();
            }
            _ => {}
        }
    }
}

impl Head {
    fn refuse(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }

    fn look_at(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.content_lengths += 1;
            self.content_length = decimal(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.transfer_encodings += 1;
            self.chunked = value.eq_ignore_ascii_case(b"chunked");
        }
    }

    /// Judges the head, and says what follows it.
    fn finish(&mut self) -> State {
        if self.transfer_encodings > 0 && self.content_lengths > 0 {
            self.refuse(Violation::TwoLengths);
        }
        if self.content_lengths > 1 {
            self.refuse(Violation::RepeatedContentLength);
        }
        if self.transfer_encodings > 0 && !(self.transfer_encodings == 1 && self.chunked) {
            self.refuse(Violation::TransferEncoding);
        }
        if self.hosts > 1 || (self.is_http_11 && self.hosts == 0) {
            self.refuse(Violation::Host);
        }
        match (self.violation, self.chunked, self.content_length) {
            (Some(_), ..) => State::Lost,
            (None, true, _) => State::ChunkSize,
            (None, false, Some(length)) if length > 0 => State::Body(length),
            (None, false, None) if self.content_lengths > 0 => State::Lost,
            (None, false, _) => State::Between,
        }
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The size in front of a chunk's extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a stream, whole and byte by byte.
    fn found(stream: &str) -> Vec<Option<Violation>> {
        let mut whole = Vec::new();
        HeadGuard::new().observe(stream.as_bytes(), |v| whole.push(v));
        let mut guard = HeadGuard::new();
        let mut piecewise = Vec::new();
        for byte in stream.as_bytes() {
            guard.observe(&[*byte], |v| piecewise.push(v));
        }
        assert_eq!(whole, piecewise, "{stream:?}");
        whole
    }

    fn head(lines: &str) -> String {
        format!("PUT /v1/images/x HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
    }

    #[test]
    fn follows_bodies_to_the_next_head() {
        let get = head("");
        let sized = head("Content-Length: 5\r\n") + "a\nb\r\n";
        let chunked = head("transfer-encoding: Chunked\r\n")
            + "5;x=y\r\nab\ncd\r\n1\r\n\n\r\n0\r\nTrailer: x\r\n\r\n";
        let stream = format!("\r\n{get}{sized}{chunked}{get}");
        assert_eq!(found(&stream), [None; 4]);
    }

    #[test]
    fn finds_every_ambiguity() {
        for (lines, violation) in [
            (
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                Violation::TwoLengths,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                Violation::TwoLengths,
            ),
            (
                "Content-Length: 4\r\nContent-Length: 4\r\n",
                Violation::RepeatedContentLength,
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                Violation::TransferEncoding,
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Violation::TransferEncoding,
            ),
            ("Host: other\r\n", Violation::Host),
            ("X: y\nZ: z\r\n", Violation::BareLineFeed),
        ] {
            assert_eq!(found(&head(lines)), [Some(violation)], "{lines:?}");
        }
        assert_eq!(found("GET / HTTP/1.1\r\n\r\n"), [Some(Violation::Host)]);
        assert_eq!(
            found("GET / HTTP/1.1\nHost: h\n\n"),
            [Some(Violation::BareLineFeed)]
        );
    }

    #[test]
    fn old_clients_need_no_host() {
        assert_eq!(found("GET / HTTP/1.0\r\n\r\n"), [None]);
        let long = format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(500));
        assert_eq!(found(&long), [None]);
    }

    #[test]
    fn bare_line_feeds_among_chunks_end_what_can_be_known() {
        let chunked = head("Transfer-Encoding: chunked\r\n");
        let next = head("");
        for body in [
            "1\na\r\n0\r\n\r\n",
            "0\r\n\n",
            "0\r\nX: y\n\n",
            "0\r\nX: y\n\r\n",
        ] {
            assert_eq!(found(&format!("{chunked}{body}{next}")), [None], "{body:?}");
        }
    }

    #[test]
    fn knows_when_a_body_is_unfinished() {
        let mut guard = HeadGuard::new();
        guard.observe(head("Content-Length: 5\r\n").as_bytes(), |_| {});
        assert!(guard.is_inside_body());
        assert_eq!(guard.finished(), 0);
        guard.observe(b"12345", |_| {});
        assert!(!guard.is_inside_body());
        assert_eq!(guard.finished(), 1);
        let chunked = head("Transfer-Encoding: chunked\r\n");
        guard.observe((head("") + &chunked + "1\r\nx\r\n0\r\n").as_bytes(), |_| {});
        assert_eq!(guard.finished(), 2);
        guard.observe(b"\r\n", |_| {});
        assert_eq!(guard.finished(), 3);
    }
}
