//! The head of an answer.

/// Longest head that is taken.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What the client needs to know of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Bytes of the head, the empty line included.
    pub head_bytes: usize,
    /// Bytes of the body as announced.
    pub body_bytes: u64,
    /// Whether the server ends the connection after it.
    pub closes: bool,
    pub location: Option<String>,
}

/// Parses a head if all of it is there.
///
/// # Errors
/// When it is none, is too long, or announces a body of unknown length.
pub fn parse(bytes: &[u8]) -> Result<Option<Answer>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD_BYTES {
            Err("an endless head".to_owned())
        } else {
            Ok(None)
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let mut answer = Answer {
        status: status.ok_or("no HTTP answer")?,
        head_bytes: end + 4,
        body_bytes: 0,
        closes: false,
        location: None,
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            answer.body_bytes = value.parse().map_err(|_| "a bad Content-Length")?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("an answer in chunks, which this client does not measure".to_owned());
        } else if name.eq_ignore_ascii_case("connection") {
            answer.closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("location") {
            answer.location = Some(value.to_owned());
        }
    }
    Ok(Some(answer))
}
