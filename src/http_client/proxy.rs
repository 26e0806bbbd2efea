//! HTTP proxies between a client and a server, as the environment names them (`http_proxy`,
//! `https_proxy`, `no_proxy`). A request for `http` is sent to the proxy with its absolute URI; for
//! `https` the proxy opens a tunnel (CONNECT, RFC 9110, section 9.3.6) through which TLS runs end
//! to end. Used by the command-line client; the servers connect directly.

use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderValue, Request, Uri};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::HttpClientError;
use super::target::Target;

/// Port of a proxy whose URL has none, as in every http URL.
const DEFAULT_PROXY_PORT: u16 = 80;
/// Maximum length of the response to CONNECT, in bytes.
const MAX_CONNECT_RESPONSE_BYTES: usize = 16 * 1024;

/// Proxies by the scheme of the server's URL, and the hosts that are reached directly.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Lower-case host names, name suffixes and IP addresses; `*` matches every host.
    direct: Vec<String>,
}

/// A proxy that is reached by plain HTTP.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    authorization: Option<HeaderValue>,
}

/// The URL of a proxy cannot be used. The text names the variable, not the URL, which may
/// contain a password.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is not the URL of an HTTP proxy; expected http://[USER:PASSWORD@]HOST:PORT")]
pub struct ProxyError {
    variable: &'static str,
}

impl Proxies {
    /// Reads the proxies from environment variables; lower-case names take precedence.
    ///
    /// # Errors
    /// [`ProxyError`] if the URL of a proxy is invalid or its scheme is not `http`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let value = |name: &str| {
            let given = variable(name).or_else(|| variable(&name.to_uppercase()));
            given.filter(|value| !value.is_empty())
        };
        let proxy = |name| value(name).map(|url| Proxy::parse(&url, name)).transpose();
        let direct = value("no_proxy").unwrap_or_default().to_lowercase();
        let direct = direct
            .split([',', ' '])
            .map(|entry| entry.trim_start_matches('.'));
        Ok(Self {
            http: proxy("http_proxy")?,
            https: proxy("https_proxy")?,
            direct: direct
                .filter(|entry| !entry.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Returns the proxy for a server, or `None` if it is reached directly. This machine is
    /// always reached directly: a proxy elsewhere would connect to itself.
    pub(super) fn for_target(&self, target: &Target) -> Option<&Proxy> {
        let proxy = if target.is_tls {
            &self.https
        } else {
            &self.http
        };
        proxy
            .as_ref()
            .filter(|_| !self.is_direct(&target.host, target.port))
    }

    fn is_direct(&self, host: &str, port: u16) -> bool {
        let host = host.to_lowercase();
        let is_loopback = host
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let matches = |entry: &String| {
            let name = entry.strip_suffix(&format!(":{port}")).unwrap_or(entry);
            let suffix = host.strip_suffix(name);
            name == "*" || suffix.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        host == "localhost" || is_loopback || self.direct.iter().any(matches)
    }
}

impl Proxy {
    fn parse(url: &str, variable: &'static str) -> Result<Self, ProxyError> {
        let wrong = || ProxyError { variable };
        let url = match url.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => url.to_owned(),
            Some(_) => return Err(wrong()),
            None => format!("http://{url}"),
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(wrong)?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        let authorization = user.map(basic_authorization).transpose();
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(DEFAULT_PROXY_PORT),
            authorization: authorization.map_err(|_| wrong())?,
        })
    }

    /// Rewrites a request for a plain HTTP server into the form that a proxy expects.
    ///
    /// # Errors
    /// [`HttpClientError::Address`] if the server's address cannot be part of a URI.
    pub(super) fn rewrite<B>(
        &self,
        request: &mut Request<B>,
        target: &Target,
    ) -> Result<(), HttpClientError> {
        let absolute = format!("http://{}{}", target.authority(), request.uri());
        *request.uri_mut() = absolute.parse().map_err(|_| HttpClientError::Address)?;
        if let Some(authorization) = &self.authorization {
            let headers = request.headers_mut();
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        Ok(())
    }

    /// Has the proxy connect `stream` to the server.
    ///
    /// # Errors
    /// [`HttpClientError::Proxy`] if the proxy refuses, [`HttpClientError::Connect`] if the
    /// connection to it fails.
    pub(super) async fn open_tunnel(
        &self,
        stream: &mut TcpStream,
        target: &Target,
    ) -> Result<(), HttpClientError> {
        let authority = target.authority();
        let mut request =
            format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        let written = stream.write_all(&request).await;
        written.map_err(HttpClientError::Connect)?;
        let head = read_head(stream).await.map_err(HttpClientError::Connect)?;
        match status_of(&head) {
            Some(200..=299) => Ok(()),
            Some(status) => Err(HttpClientError::Proxy(status)),
            None => Err(HttpClientError::Connect(io::Error::other(
                "the proxy did not respond with HTTP",
            ))),
        }
    }
}

/// Reads up to the empty line that ends the head of a response. It reads byte by byte, because
/// bytes after the head belong to the tunnel.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_CONNECT_RESPONSE_BYTES {
            return Err(io::Error::other("the response of the proxy is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

/// Returns the status of a response head such as `HTTP/1.1 200 OK`.
fn status_of(head: &[u8]) -> Option<u16> {
    let head = std::str::from_utf8(head).ok()?;
    let (version, rest) = head.split_once(' ')?;
    version.starts_with("HTTP/1.").then_some(())?;
    rest.get(..3)?.parse().ok()
}

/// Makes the header value for `USER:PASSWORD` of a URL, which may be percent-encoded.
fn basic_authorization(user: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let user: Vec<u8> = percent_decode_str(user).collect();
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(user)))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        Proxies::from_environment(|name| {
            let mut variables = variables.iter();
            let found = variables.find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn target(is_tls: bool, host: &str, port: u16) -> Target {
        let host = host.to_owned();
        Target { is_tls, host, port }
    }

    #[test]
    fn proxy_is_chosen_by_scheme_and_host() {
        let proxies = proxies(&[
            ("http_proxy", "http://u:p%40x@proxy:3128"),
            ("HTTPS_PROXY", "secure"),
            ("no_proxy", "example.org, .test,10.0.0.1:80"),
        ]);
        let proxies = proxies.unwrap();
        let port_of = |is_tls, host, port| {
            let proxy = proxies.for_target(&target(is_tls, host, port));
            proxy.map(|proxy| proxy.port)
        };
        assert_eq!(port_of(false, "glance", 80), Some(3128));
        assert_eq!(port_of(true, "glance", 443), Some(DEFAULT_PROXY_PORT));
        for direct in [
            "example.org",
            "A.Example.org",
            "x.test",
            "10.0.0.1",
            "localhost",
            "::1",
        ] {
            assert_eq!(port_of(false, direct, 80), None, "{direct}");
        }
        assert_eq!(port_of(false, "10.0.0.1", 81), Some(3128));
        assert_eq!(port_of(false, "myexample.org", 80), Some(3128));
    }

    #[test]
    fn password_of_a_proxy_is_sent_decoded_and_never_shown() {
        let proxies = proxies(&[("http_proxy", "http://u:p%40x@proxy:3128")]).unwrap();
        let target = target(false, "glance", 9292);
        let mut request = Request::new(());
        *request.uri_mut() = "/v1/images?limit=1".parse().unwrap();
        let proxy = proxies.for_target(&target).unwrap();
        proxy.rewrite(&mut request, &target).unwrap();
        assert_eq!(request.uri(), "http://glance:9292/v1/images?limit=1");
        let sent = &request.headers()[PROXY_AUTHORIZATION];
        assert_eq!(sent, &format!("Basic {}", STANDARD.encode("u:p@x")));
        assert!(sent.is_sensitive());
        assert_eq!(format!("{proxy:?}"), "proxy:3128");
    }

    #[test]
    fn other_kinds_of_proxies_are_refused_without_naming_the_url() {
        for url in [
            "socks5://u:CANARY@h",
            "https://u:CANARY@h",
            "http://u:CANARY@",
        ] {
            let error = proxies(&[("https_proxy", url)]).unwrap_err().to_string();
            assert!(error.starts_with("https_proxy "), "{error}");
            assert!(!error.contains("CANARY"), "{error}");
        }
    }
}
