//! Asking a web server, and whom it points to.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, response};
use url::Url;

use super::answer::unavailable;
use crate::error::{Error, Kind, Result};
use crate::image::{HttpUri, SourceRules};
use crate::net::outgoing::{Client, OutgoingError};
use crate::transfer::Part;

static AGENT: HeaderValue = HeaderValue::from_static(concat!("glance/", env!("CARGO_PKG_VERSION")));

/// Sends requests without bodies, and follows redirects as far as it may.
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) max_redirects: u32,
    pub(super) rules: SourceRules,
    /// Whether the names of this machine may be resolved at all.
    pub(super) allows_localhost: bool,
}

impl Asker {
    /// The first answer that is no redirect.
    ///
    /// # Errors
    /// `Unavailable` when there is none; `Invalid` when the URI itself names an address that
    /// may not be dialled.
    pub(super) async fn ask(
        &self,
        uri: &HttpUri,
        method: Method,
        headers: &HeaderMap,
    ) -> Result<(response::Parts, Part)> {
        let mut at = uri.clone();
        for redirects in 0..=self.max_redirects {
            let request = request(&at, method.clone(), headers)?;
            let (head, part) = match self.open(&at, request).await {
                Ok(answer) => answer,
                Err(OutgoingError::Forbidden) if redirects == 0 && at.has_evident_address() => {
                    return Err(not_to_be_named());
                }
                Err(error) => return Err(unavailable(error)),
            };
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
    ) -> std::result::Result<(response::Parts, Part), OutgoingError> {
        if uri.is_localhost() && !self.allows_localhost {
            return Err(OutgoingError::Forbidden);
        }
        self.client.open(request).await
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
