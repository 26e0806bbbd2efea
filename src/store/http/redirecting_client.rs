//! Sends requests to web servers and follows their redirects, as far as the operator allows.
//!
//! Users name the URLs. A URL whose text names a forbidden address is refused as invalid; an
//! address found by DNS or in a redirect is reported like an unreachable server, so that users
//! cannot map the operator's network.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, response};
use url::Url;

use super::object_response::unavailable;
use crate::error::{Error, Kind, Result};
use crate::http_client::{AddressFilter, HttpClient, HttpClientError};
use crate::image::{HttpUri, SourceRules};
use crate::transfer::RangeBody;

/// Value of `User-Agent`.
static AGENT: HeaderValue = HeaderValue::from_static(concat!("glance/", env!("CARGO_PKG_VERSION")));

/// Sends requests without bodies and follows redirects.
pub(super) struct RedirectingClient {
    /// The underlying client; it checks every address that it dials.
    pub(super) client: HttpClient,
    /// The most redirects to follow.
    pub(super) max_redirects: u32,
    /// Rules for the URLs of redirects.
    pub(super) rules: SourceRules,
    /// The addresses that the client may connect to.
    pub(super) address_filter: AddressFilter,
}

impl RedirectingClient {
    /// Returns the first response that is not a redirect.
    ///
    /// # Errors
    /// `Invalid` if the text of the URI names a forbidden address; otherwise `Unavailable`, also if
    /// a DNS lookup or a redirect leads to a forbidden address.
    pub(super) async fn send(
        &self,
        uri: &HttpUri,
        method: Method,
        headers: &HeaderMap,
    ) -> Result<(response::Parts, RangeBody)> {
        if self.is_evidently_forbidden(uri) {
            return Err(forbidden_address());
        }
        let mut at = uri.clone();
        for _ in 0..=self.max_redirects {
            let request = request(&at, method.clone(), headers)?;
            let (head, part) = self.open(&at, request).await.map_err(unavailable)?;
            if !head.status.is_redirection() {
                return Ok((head, part));
            }
            at = self.redirect_target(&at, &head)?;
        }
        Err(unavailable(
            "the server redirects, and no further redirect is followed",
        ))
    }

    async fn open(
        &self,
        uri: &HttpUri,
        request: Request<()>,
    ) -> std::result::Result<(response::Parts, RangeBody), HttpClientError> {
        // The target of a redirect is checked too.
        if self.is_evidently_forbidden(uri) {
            return Err(HttpClientError::Forbidden);
        }
        self.client.open(request).await
    }

    /// Returns true if the text of a URI names a forbidden address.
    fn is_evidently_forbidden(&self, uri: &HttpUri) -> bool {
        let is_closed = |address| !self.address_filter.allows_host(address);
        (uri.is_localhost() && !self.address_filter.private) || uri.address().is_some_and(is_closed)
    }

    /// Returns the target of a redirect, if it may be followed. Credentials stay with their server.
    fn redirect_target(&self, at: &HttpUri, head: &response::Parts) -> Result<HttpUri> {
        let refuse = |why: &dyn fmt::Display| {
            unavailable(format!("the server's redirect is not followed: {why}"))
        };
        let target = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let target = target.ok_or_else(|| refuse(&"it has no valid Location"))?;
        let base = Url::parse(&at.expose_without_credentials());
        let next = base
            .and_then(|base| base.join(target))
            .map_err(|e| refuse(&e))?;
        let next = HttpUri::parse(next.as_str()).map_err(|error| refuse(&error))?;
        self.rules.check(&next).map_err(|error| refuse(&error))?;
        // A redirect must not expose the request to the network.
        if at.scheme() == "https" && next.scheme() != "https" {
            return Err(refuse(&"it leads from https to http"));
        }
        Ok(if next.is_same_server(at) {
            next.with_credentials_of(at)
        } else {
            next
        })
    }
}

fn request(uri: &HttpUri, method: Method, headers: &HeaderMap) -> Result<Request<()>> {
    let request = Request::builder()
        .method(method)
        .uri(uri.expose_without_credentials());
    // The library's error is dropped because it may contain the URI, which may contain secrets.
    let mut request = request
        .body(())
        .map_err(|_| Error::internal("the image's location is not a URI that can be requested"))?;
    let all = request.headers_mut();
    all.extend(headers.clone());
    all.insert(USER_AGENT, AGENT.clone());
    all.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(credentials) = uri.expose_credentials() {
        let basic = format!("Basic {}", BASE64.encode(credentials));
        let basic = HeaderValue::from_str(&basic).map(|mut value| {
            value.set_sensitive(true);
            value
        });
        all.insert(AUTHORIZATION, basic.map_err(Error::internal)?);
    }
    Ok(request)
}

/// Creates the error for a URI whose text names a forbidden address. The text is no news to the
/// user who wrote it, so this error may be explicit.
fn forbidden_address() -> Error {
    let message = "The source of the image has an address that may not be reached.";
    Error::new(Kind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Response;

    use super::*;
    use crate::http_client::{AddressPolicy, HttpClientOptions, TlsOptions, client_config};
    use crate::image::AllowDenyList;

    fn client() -> RedirectingClient {
        let client = HttpClient::new(HttpClientOptions {
            connect_timeout: Duration::ZERO,
            answer_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            address_policy: AddressPolicy::Any,
            tls: client_config(&TlsOptions::default()).unwrap(),
        });
        let ports = AllowDenyList {
            allowed: vec![80, 443],
            disallowed: Vec::new(),
        };
        RedirectingClient {
            client,
            max_redirects: 1,
            rules: SourceRules {
                ports,
                ..SourceRules::default()
            },
            address_filter: AddressFilter::default(),
        }
    }

    fn next(from: &str, to: Option<&str>) -> Option<(String, bool)> {
        let mut response = Response::builder().status(302);
        if let Some(to) = to {
            response = response.header(LOCATION, to);
        }
        let head = response.body(()).unwrap().into_parts().0;
        let next = client()
            .redirect_target(&HttpUri::parse(from).unwrap(), &head)
            .ok()?;
        let has_credentials = next.expose_credentials().is_some();
        Some((next.expose_without_credentials(), has_credentials))
    }

    #[test]
    fn credentials_are_sent_only_to_their_server() {
        let from = "http://u:p@h/a/b";
        let own = |uri: &str| Some((uri.to_owned(), true));
        assert_eq!(next(from, Some("c")), own("http://h:80/a/c"));
        assert_eq!(next(from, Some("/c?d")), own("http://h:80/c?d"));
        assert_eq!(next(from, Some("http://H:80/c")), own("http://h:80/c"));
        let others = |uri: &str| Some((uri.to_owned(), false));
        assert_eq!(next(from, Some("//i/c")), others("http://i:80/c"));
        assert_eq!(next(from, Some("https://h/c")), others("https://h:443/c"));
    }

    #[test]
    fn forbidden_redirects_are_not_followed() {
        for to in [
            "http://h/",
            "https://h:8080/",
            "file:///etc/passwd",
            "gopher://h/",
            "https://",
            "https://①②⑦.1.",
        ] {
            assert_eq!(next("https://h/", Some(to)), None, "{to}");
        }
        assert_eq!(next("https://h/", None), None);
    }
}
