//! The target of a connection: splits a request's absolute URI into scheme, host, port and path.

use http::header::HOST;
use http::{HeaderValue, Request, Uri};

use super::error::HttpClientError;
use crate::transfer::HttpBody;

/// The server that a connection leads to. Key of the connection pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// Returns `HOST:PORT`, with brackets around an IPv6 address.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Removes the target from a request's absolute URI. The request keeps the path and gets a Host.
///
/// # Errors
/// `Address` if the URI is not an http or https URI with a host.
pub(super) fn prepare(
    mut request: Request<HttpBody>,
) -> Result<(Target, Request<HttpBody>), HttpClientError> {
    let uri = std::mem::take(request.uri_mut());
    let is_tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(HttpClientError::Address),
    };
    let host = uri.host().ok_or(HttpClientError::Address)?;
    let target = Target {
        is_tls,
        host: host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
        port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
    };
    let name = match uri.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let name = HeaderValue::from_str(&name).map_err(|_| HttpClientError::Address)?;
    request.headers_mut().entry(HOST).or_insert(name);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path).map_err(|_| HttpClientError::Address)?;
    Ok((target, request))
}
