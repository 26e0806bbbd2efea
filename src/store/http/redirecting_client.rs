//! Asking a web server, and whom it points to.

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

static AGENT: HeaderValue = HeaderValue::from_static(concat!("glance/", env!("CARGO_PKG_VERSION")));

/// Sends requests without bodies, and follows redirects as far as it may.
pub(super) struct RedirectingClient {
    pub(super) client: HttpClient,
    pub(super) max_redirects: u32,
    pub(super) rules: SourceRules,
    /// Where the client may connect to.
    pub(super) reach: AddressFilter,
}

impl RedirectingClient {
    /// The first answer that is no redirect.
    ///
    /// # Errors
    /// `Unavailable` when there is none; `Invalid` when the text of the URI itself names an
    /// address that may not be reached. Whatever the lookup of a name or the address of a
    /// listener tells is `Unavailable`, so that clients learn nothing of the operator's
    /// network.
    pub(super) async fn send(
        &self,
        uri: &HttpUri,
        method: Method,
        headers: &HeaderMap,
    ) -> Result<(response::Parts, RangeBody)> {
        if self.is_evidently_forbidden(uri) {
            return Err(not_to_be_named());
        }
        let mut at = uri.clone();
        for _ in 0..=self.max_redirects {
            let request = request(&at, method.clone(), headers)?;
            let (head, part) = self.open(&at, request).await.map_err(unavailable)?;
            if !head.status.is_redirection() {
                return Ok((head, part));
            }
            at = self.next(&at, &head)?;
        }
        Err(unavailable("it points elsewhere, and is not followed"))
    }

    async fn open(
        &self,
        uri: &HttpUri,
        request: Request<()>,
    ) -> std::result::Result<(response::Parts, RangeBody), HttpClientError> {
        if self.is_evidently_forbidden(uri) {
            return Err(HttpClientError::Forbidden);
        }
        self.client.open(request).await
    }

    /// Whether the text of a URI says that its host may not be reached.
    fn is_evidently_forbidden(&self, uri: &HttpUri) -> bool {
        let is_closed = |address| !self.reach.allows_host(address);
        (uri.is_localhost() && !self.reach.private) || uri.address().is_some_and(is_closed)
    }

    /// Where a redirect leads, if that may be followed.
    fn next(&self, at: &HttpUri, head: &response::Parts) -> Result<HttpUri> {
        let refuse = |why: &dyn fmt::Display| unavailable(format!("it points elsewhere: {why}"));
        let target = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let target = target.ok_or_else(|| refuse(&"it does not say where"))?;
        let base = Url::parse(&at.expose_without_credentials());
        let next = base
            .and_then(|base| base.join(target))
            .map_err(|e| refuse(&e))?;
        let next = HttpUri::parse(next.as_str()).map_err(|error| refuse(&error))?;
        self.rules.check(&next).map_err(|error| refuse(&error))?;
        if at.scheme() == "https" && next.scheme() != "https" {
            return Err(refuse(&"from TLS to none"));
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
    // The cause would be the library's words about the URI.
    let mut request = request
        .body(())
        .map_err(|_| Error::internal("a URI that cannot be asked for"))?;
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

/// What the text itself says is no news to whoever wrote it. A name that leads to such an
/// address is as good as one that leads nowhere: whoever learned the difference could map
/// the operator's network.
fn not_to_be_named() -> Error {
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
            reach: AddressPolicy::Any,
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
            reach: AddressFilter::default(),
        }
    }

    fn next(from: &str, to: Option<&str>) -> Option<(String, bool)> {
        let mut response = Response::builder().status(302);
        if let Some(to) = to {
            response = response.header(LOCATION, to);
        }
        let head = response.body(()).unwrap().into_parts().0;
        let next = client().next(&HttpUri::parse(from).unwrap(), &head).ok()?;
        let has_credentials = next.expose_credentials().is_some();
        Some((next.expose_without_credentials(), has_credentials))
    }

    #[test]
    fn credentials_stay_with_their_server() {
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
    fn not_everywhere_is_followed_to() {
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
