//! Parses the head of a response.

/// The longest head that is accepted.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The parts of a response head that the client uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Size of the head, including the empty line.
    pub head_bytes: usize,
    /// Size of the body by `Content-Length`.
    pub body_bytes: u64,
    /// True if the server closes the connection after the response.
    pub closes: bool,
    pub location: Option<String>,
}

/// Parses a head. Returns `None` if it is incomplete.
///
/// # Errors
/// When the head is invalid, too long, or has no length of the body.
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
