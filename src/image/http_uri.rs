//! URIs of web servers, as clients name them for external data. The parser is strict, so that the
//! filter of addresses and the connection see the same host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use percent_encoding::percent_decode_str;

/// Longest name of a host (RFC 1035, 2.3.4).
const MAX_NAME_BYTES: usize = 253;
/// Longest part of a name between dots.
const MAX_LABEL_BYTES: usize = 63;

/// An `http` or `https` URI, parsed once. The filter and the HTTP client use the same parts, so no
/// second parser can read the text differently.
///
/// Parsing is strict: a host is a name, four decimal numbers, or an IPv6 address in
/// brackets. Other spellings of addresses (`2130706433`, `0x7f.1`, `127.1`, a dot at the
/// end, full-width digits) are refused: a filter and a resolver may read them differently
/// (CVE-2026-34881).
///
/// `Debug` prints the scheme alone: user, path and query may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUri {
    is_tls: bool,
    user_info: Option<Box<str>>,
    host: Host,
    port: u16,
    /// Begins with a slash.
    path_and_query: Box<str>,
}

#[derive(Clone, PartialEq, Eq)]
enum Host {
    /// In lower case.
    Name(Box<str>),
    Address(IpAddr),
}

/// The reasons why a text is not such a URI. The messages repeat no part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpUriError {
    #[error("it does not begin with http:// or https://")]
    Scheme,
    #[error("it has characters that must be percent-encoded")]
    Characters,
    #[error(
        "its host is no name, no IPv4 address of four decimal numbers and no IPv6 address in \
         brackets"
    )]
    Host,
    #[error("its port is no number from 1 to 65535")]
    Port,
}

impl HttpUri {
    /// Parses a URI of RFC 3986 with an authority; a fragment is dropped.
    ///
    /// # Errors
    /// [`HttpUriError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, HttpUriError> {
        let (scheme, rest) = text.split_once("://").ok_or(HttpUriError::Scheme)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(HttpUriError::Scheme),
        };
        if !rest.bytes().all(may_stand_in_uri) {
            return Err(HttpUriError::Characters);
        }
        // The fragment is removed first: an @ in it must not become part of the authority.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // Passwords with an unescaped @ are in use: the last @ ends the user information.
        let (user_info, server) = match authority.rsplit_once('@') {
            Some((user_info, server)) => (Some(user_info.into()), server),
            None => (None, authority),
        };
        let (host, port) = split_port(server)?;
        let default_port = if is_tls { 443 } else { 80 };
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            is_tls,
            user_info,
            host: Host::parse(host)?,
            port: parse_port(port)?.unwrap_or(default_port),
            path_and_query: format!("{slash}{path}").into(),
        })
    }

    /// Returns `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// Returns the port; the default one if the text names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns true if the host is this one: a name in any case, or an address in any spelling.
    pub fn has_host(&self, host: &str) -> bool {
        match &self.host {
            Host::Name(name) => name.eq_ignore_ascii_case(host),
            Host::Address(own) => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                bare.parse().is_ok_and(|address: IpAddr| address == *own)
            }
        }
    }

    /// Returns the host's address if the text contains one instead of a name.
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Name(_) => None,
            Host::Address(address) => Some(address),
        }
    }

    /// Returns true if the host is `localhost` or a name under it, which always means the local
    /// machine (RFC 6761, 6.3).
    pub fn is_localhost(&self) -> bool {
        match &self.host {
            Host::Name(name) => &**name == "localhost" || name.ends_with(".localhost"),
            Host::Address(_) => false,
        }
    }

    /// Returns true if both name the same server and protocol.
    pub fn is_same_server(&self, other: &Self) -> bool {
        (self.is_tls, &self.host, self.port) == (other.is_tls, &other.host, other.port)
    }

    /// Returns `user:password`, decoded. This is a secret.
    pub fn expose_credentials(&self) -> Option<Vec<u8>> {
        let (user, password) = {
            let user_info = self.user_info.as_deref()?;
            user_info.split_once(':').unwrap_or((user_info, ""))
        };
        let mut credentials: Vec<u8> = percent_decode_str(user).collect();
        credentials.push(b':');
        credentials.extend(percent_decode_str(password));
        Some(credentials)
    }

    /// Returns this URI with the credentials of another.
    pub fn with_credentials_of(mut self, other: &Self) -> Self {
        self.user_info.clone_from(&other.user_info);
        self
    }

    /// Returns the URI without its credentials. Path and query may still hold a secret.
    pub fn expose_without_credentials(&self) -> String {
        let (scheme, port, path) = (self.scheme(), self.port, &self.path_and_query);
        match &self.host {
            Host::Name(name) => format!("{scheme}://{name}:{port}{path}"),
            Host::Address(IpAddr::V4(address)) => format!("{scheme}://{address}:{port}{path}"),
            Host::Address(IpAddr::V6(address)) => format!("{scheme}://[{address}]:{port}{path}"),
        }
    }
}

impl fmt::Debug for HttpUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://…", self.scheme())
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, HttpUriError> {
        let bracketed = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = bracketed {
            let address = address.parse().map_err(|_| HttpUriError::Host)?;
            return Ok(Self::Address(IpAddr::V6(address)));
        }
        // Four decimal numbers without leading zeros.
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        if !is_name(text) {
            return Err(HttpUriError::Host);
        }
        Ok(Self::Name(text.to_ascii_lowercase().into()))
    }
}

/// Accepts letters, digits, hyphens and underscores between dots. A name that ends in a number is
/// refused, since resolvers read it as an address.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.bytes().all(may_stand)
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or(last.strip_prefix("0X"));
    let is_number = match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    text.len() <= MAX_NAME_BYTES && text.split('.').all(is_label) && !is_number
}

/// Splits `host`, `host:` or `host:port`; the host may be a bracketed address.
fn split_port(server: &str) -> Result<(&str, &str), HttpUriError> {
    let host_end = match server.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(HttpUriError::Host)? + 2,
        None => server.find(':').unwrap_or(server.len()),
    };
    let (host, port) = server.split_at(host_end);
    match port.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None if port.is_empty() => Ok((host, "")),
        None => Err(HttpUriError::Host),
    }
}

fn parse_port(text: &str) -> Result<Option<u16>, HttpUriError> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.then(|| text.parse().ok()).flatten();
    port.filter(|port| *port > 0)
        .map(Some)
        .ok_or(HttpUriError::Port)
}

/// Returns true for printable ASCII that RFC 3986 allows in some part of a URI.
fn may_stand_in_uri(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> String {
        HttpUri::parse(text).unwrap().expose_without_credentials()
    }

    #[test]
    fn parts_come_back_without_credentials() {
        for (text, whole) in [
            ("http://example.org", "http://example.org:80/"),
            (
                "HTTPS://Example.ORG/A?b=C#d",
                "https://example.org:443/A?b=C",
            ),
            ("http://h:8080?q", "http://h:8080/?q"),
            ("http://h:/x", "http://h:80/x"),
            ("http://u:p@h/x@y", "http://h:80/x@y"),
            ("http://u:p@q@h/", "http://h:80/"),
            ("http://10.1.2.3:81/%20", "http://10.1.2.3:81/%20"),
            ("https://[::1]:81/", "https://[::1]:81/"),
            ("http://3com/", "http://3com:80/"),
            ("http://a_b-c.0x.org/", "http://a_b-c.0x.org:80/"),
            ("http://good#@bad/", "http://good:80/"),
            ("http://good?@bad/", "http://good:80/?@bad/"),
        ] {
            assert_eq!(parts(text), whole, "{text}");
        }
    }

    #[test]
    fn other_spellings_of_addresses_are_refused() {
        for host in [
            "2130706433",
            "0x7f000001",
            "0X7F000001",
            "0x",
            "0177.0.0.1",
            "127.1",
            "127.0.1",
            "127.0.0.0x1",
            "127.0.0.1.",
            "localhost.",
            "127.0.0.01",
            "1.2.3.4.5",
            "256.1.1.1",
            "①②⑦.0.0.1",
            "127。0。0。1",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "[fe80::1%25eth0]",
            "::1",
            "a..b",
            ".a",
            "",
            "%31%32%37.0.0.1",
            "a b",
            "a\\@b",
            &"a".repeat(64),
        ] {
            let text = format!("http://{host}/");
            assert!(HttpUri::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_schemes_characters_and_ports_are_refused() {
        for (text, error) in [
            ("", HttpUriError::Scheme),
            ("http:/h", HttpUriError::Scheme),
            ("http:h", HttpUriError::Scheme),
            ("file:///etc/passwd", HttpUriError::Scheme),
            ("swift+http://h/", HttpUriError::Scheme),
            ("http://h/a b", HttpUriError::Characters),
            ("http://h/\u{e9}", HttpUriError::Characters),
            ("http://h/\r\nx: y", HttpUriError::Characters),
            ("http://h:0/", HttpUriError::Port),
            ("http://h:65536/", HttpUriError::Port),
            ("http://h:+80/", HttpUriError::Port),
            ("http://h:80:80/", HttpUriError::Port),
        ] {
            assert_eq!(HttpUri::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        for (text, credentials) in [
            ("http://h/", None),
            ("http://u:p@h/", Some("u:p")),
            ("http://u@h/", Some("u:")),
            ("http://u%3a:%40p:q@h/", Some("u::@p:q")),
        ] {
            let uri = HttpUri::parse(text).unwrap();
            let exposed = uri.expose_credentials();
            assert_eq!(exposed.as_deref(), credentials.map(str::as_bytes), "{text}");
        }
        let uri = HttpUri::parse("http://u:CANARY@h/CANARY?CANARY").unwrap();
        assert_eq!(format!("{uri:?}"), "http://…");
    }

    #[test]
    fn hosts_are_compared_by_meaning() {
        let uri = |text| HttpUri::parse(text).unwrap();
        assert!(uri("http://Example.org/").has_host("EXAMPLE.org"));
        assert!(uri("http://[0:0::1]/").has_host("::1"));
        assert!(uri("http://[::1]/").has_host("[::1]"));
        assert!(!uri("http://h/").has_host("h.org"));
        assert!(uri("http://localhost/").is_localhost());
        assert!(uri("http://x.LOCALHOST/").is_localhost());
        assert_eq!(uri("http://10.0.0.1/").address(), "10.0.0.1".parse().ok());
        assert_eq!(uri("http://example.org/").address(), None);
        assert!(uri("http://h:80/a").is_same_server(&uri("http://H/b")));
        assert!(!uri("http://h/").is_same_server(&uri("https://h:80/")));
    }

    proptest::proptest! {
        /// A parsed URI parses to itself again, and a general parser sees the same host.
        #[test]
        fn general_parser_sees_the_same_host(text in "https?://([a-z0-9:@%]{0,8}@)?[a-zA-Z0-9.:\\[\\]x-]{1,20}[/?#@:a-z]{0,10}") {
            if let Ok(uri) = HttpUri::parse(&text) {
                let whole = uri.expose_without_credentials();
                let again = HttpUri::parse(&whole).unwrap();
                proptest::prop_assert!(again.is_same_server(&uri));
                let other = url::Url::parse(&whole).unwrap();
                proptest::prop_assert_eq!(other.port_or_known_default(), Some(uri.port()));
                proptest::prop_assert!(uri.has_host(other.host_str().unwrap()));
            }
        }
    }
}
