//! The authority of a request: its Host header, or that of an absolute target (RFC 9112, 3.2).

use std::fmt;
use std::net::Ipv6Addr;

/// Longest name of a host, in bytes (RFC 1035, 2.3.4).
const MAX_HOST_BYTES: usize = 255;

/// A validated host with an optional port. It contains no character that could end a URL or a
/// header.
///
/// Stricter than RFC 3986: a host consists of letters, digits, `-`, `.`, `_` and `~`. Percent
/// escapes and user information are not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority(String);

impl Authority {
    /// Parses `host`, `host:port` or `[ipv6]:port`; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        is_authority(text).then(|| Self(text.to_owned()))
    }

    /// Returns true if [`Authority::parse`] accepts these bytes. Does not allocate.
    pub(in crate::net) fn is_valid(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).is_ok_and(is_authority)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_authority(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return address.parse::<Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match text.split_once(':') {
        None => is_name(text),
        Some((name, port)) => is_name(name) && is_port(port),
    }
}

fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !text.is_empty() && text.len() <= MAX_HOST_BYTES && text.bytes().all(is_allowed)
}

/// Returns true for a port number. An empty port means the default (RFC 3986, 3.2.3).
fn is_port(text: &str) -> bool {
    text.is_empty()
        || (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports() {
        for text in [
            "localhost",
            "images.example.org:9292",
            "192.0.2.1:80",
            "[2001:db8::1]:9292",
            "[::1]",
            "under_score.example",
            "h:",
        ] {
            let parsed = Authority::parse(text.as_bytes()).map(|parsed| parsed.to_string());
            assert_eq!(parsed.as_deref(), Some(text));
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        let long = "a".repeat(256);
        for text in [
            "",
            ":80",
            "a b",
            "h:80:80",
            "h:65536",
            "h:x",
            "h:+1",
            "user@h",
            "h/x",
            "h?x",
            "h#x",
            "h\"><script>",
            "x%0d%0ay",
            "a,b",
            "[::1",
            "[::1]x",
            "[1.2.3.4]",
            "::1",
            "ä.example",
            "h\r\nX: y",
            &long,
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), None, "{text:?}");
        }
        assert!(!Authority::is_valid(b"\xff"));
    }
}
