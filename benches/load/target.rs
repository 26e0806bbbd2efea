//! The address and the heads of requests.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::options::Options;

/// A parsed `http://address:port/path`.
pub struct Target {
    pub address: SocketAddr,
    path: String,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            path: "/".to_owned(),
        }
    }
}

impl Target {
    /// Parses a URL whose host is a loopback address, or a link-local one as in the network
    /// namespaces of `benches/run`.
    ///
    /// # Errors
    /// A message with the expected form.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wanted = || format!("--url wants http://127.0.0.1:PORT/PATH, not {url}");
        let rest = url.strip_prefix("http://").ok_or_else(wanted)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address: SocketAddr = authority.parse().map_err(|_| wanted())?;
        let near = match address.ip() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback(),
        };
        if !near {
            return Err(format!("{address} is not on this machine"));
        }
        let path = if path.is_empty() { "/" } else { path }.to_owned();
        Ok(Self { address, path })
    }
}

/// The request heads of a run.
pub struct Requests {
    template: String,
    numbered: bool,
}

impl Requests {
    /// Creates the template of all heads, with a place for the number of the request.
    pub fn new(method: &str, options: &Options) -> Self {
        let target = &options.target;
        let mut template = format!("{method} {} HTTP/1.1\r\n", target.path);
        // Writing into a String cannot fail.
        let _ = write!(template, "Host: {}\r\n", target.address);
        if let Some(range) = &options.range {
            let _ = write!(template, "Range: bytes={range}\r\n");
        }
        if options.uploads() && options.size_bytes > 0 {
            template.push_str("Content-Type: application/octet-stream\r\n");
        }
        if options.uploads() && options.chunked {
            template.push_str("Transfer-Encoding: chunked\r\n");
        } else if options.uploads() {
            let _ = write!(template, "Content-Length: {}\r\n", options.size_bytes);
        }
        for line in &options.headers {
            let _ = write!(template, "{line}\r\n");
        }
        template.push_str("\r\n");
        let numbered = template.contains("{n}") || template.contains("{m}");
        Self { template, numbered }
    }

    /// Writes the head of request `number` into `request`.
    pub fn write(&self, number: u64, request: &mut Vec<u8>) {
        if !self.numbered && !request.is_empty() {
            return;
        }
        request.clear();
        let two_digits = format!("{:02}", number % 100);
        let text = self.template.replace("{n}", &number.to_string());
        request.extend_from_slice(text.replace("{m}", &two_digits).as_bytes());
    }
}
