//! Where a Glance server is, and the paths and addresses of things on it.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::{ClientError, Result};

/// The port of the Image service.
pub const DEFAULT_PORT: u16 = 9292;

/// What stays as it is in a path segment or a query value (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A Glance server's address: host, port, and the path its v1 API starts at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlanceEndpoint {
    host: String,
    port: u16,
    /// Without a slash at the end: `/v1`.
    prefix: String,
}

impl GlanceEndpoint {
    /// The server on this host and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            prefix: "/v1".to_owned(),
        }
    }

    /// Parses `http://HOST[:PORT][/PATH][/v1]`, or `HOST[:PORT]`. A URL without a port means
    /// port 80, as with every URL; a host alone means [`DEFAULT_PORT`].
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for anything else, `https` and a `/v2` among it.
    pub fn parse(text: &str) -> Result<Self> {
        let (url, default_port) = match text.split_once("://") {
            None => (format!("http://{text}"), DEFAULT_PORT),
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => (text.to_owned(), 80),
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                return Err(invalid(
                    text,
                    "this build has no TLS yet; give an http:// address",
                ));
            }
            Some(_) => return Err(invalid(text, "the scheme must be http")),
        };
        let uri: Uri = url
            .parse()
            .map_err(|_| invalid(text, "it is not a URL; wanted http://HOST:PORT"))?;
        let (host, port) = authority_of(&uri).ok_or_else(|| {
            invalid(
                text,
                "wanted HOST or HOST:PORT, without a user name, after the scheme",
            )
        })?;
        if uri.query().is_some() {
            return Err(invalid(text, "it must not have a query"));
        }
        Ok(Self {
            host,
            port: port.unwrap_or(default_port),
            prefix: prefix_of(text, uri.path())?,
        })
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `HOST:PORT`, as messages and the Host header have it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The address of an image on this server.
    pub fn image_uri(&self, id: &str) -> String {
        let path = self.path(&["images", id]);
        format!("http://{}{path}", self.authority())
    }

    /// The path of something under the API, each segment escaped.
    pub(super) fn path(&self, segments: &[&str]) -> String {
        let mut path = self.prefix.clone();
        for segment in segments {
            path.push('/');
            path.push_str(&escape(segment));
        }
        path
    }

    /// The identifier in what the caller gave: an identifier itself, or an image's URI.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for a URI of another server, since a request there would
    /// show it this server's token, and for what cannot be an identifier.
    pub(super) fn image_id(&self, reference: &str) -> Result<String> {
        let id = if reference.contains("://") {
            self.id_of_uri(reference)?
        } else {
            reference.to_owned()
        };
        if id.is_empty() || id == "." || id == ".." {
            return Err(ClientError::Invalid(format!(
                "'{reference}' is no image id."
            )));
        }
        Ok(id)
    }

    fn id_of_uri(&self, reference: &str) -> Result<String> {
        let wrong = |why: &str| Err(invalid(reference, why));
        let Ok(uri) = reference.parse::<Uri>() else {
            return wrong("it is neither an image id nor a URI");
        };
        let Some((host, port)) = authority_of(&uri) else {
            return wrong("it is not the URI of an image");
        };
        // The first documents name images by URIs without a port.
        let same_port = port.is_none_or(|port| port == self.port);
        if !host.eq_ignore_ascii_case(&self.host) || !same_port {
            return wrong("the image is on another server; give its address as the endpoint");
        }
        match uri.path().rsplit_once("/images/") {
            Some((_, id)) if !id.is_empty() && !id.contains('/') => {
                let id = percent_decode_str(id).decode_utf8_lossy();
                Ok(id.into_owned())
            }
            _ => wrong("the URI of an image ends in /images/ID"),
        }
    }
}

/// Escapes a path segment, or a name or value of a query.
pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn authority_of(uri: &Uri) -> Option<(String, Option<u16>)> {
    let authority = uri.authority()?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    let (host, rest) = match authority.as_str().strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => match authority.as_str().split_once(':') {
            Some((host, port)) => (host, port),
            None => (authority.as_str(), ""),
        },
    };
    let digits = rest.strip_prefix(':').unwrap_or(rest);
    let port = match digits {
        "" => None,
        digits => Some(digits.parse().ok()?),
    };
    Some((host.to_owned(), port))
}

/// The path of the v1 API: the one given, where it names a version, or `/v1` below it.
fn prefix_of(text: &str, path: &str) -> Result<String> {
    let path = path.trim_end_matches('/');
    match path.rsplit('/').next().unwrap_or_default() {
        "v1" | "v1.0" | "v1.1" => Ok(path.to_owned()),
        last if last == "v2" || last.starts_with("v2.") => Err(invalid(
            text,
            "this client speaks v1 of the Image API; leave /v2 out",
        )),
        _ => Ok(format!("{path}/v1")),
    }
}

fn invalid(text: &str, why: &str) -> ClientError {
    ClientError::Invalid(format!("Cannot use '{text}': {why}."))
}

impl TryFrom<&str> for GlanceEndpoint {
    type Error = ClientError;

    fn try_from(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<(&str, u16)> for GlanceEndpoint {
    type Error = ClientError;

    fn try_from((host, port): (&str, u16)) -> Result<Self> {
        Ok(Self::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_and_without_version_are_one_server() {
        for text in [
            "http://h:9292",
            "http://h:9292/",
            "HTTP://h:9292/v1",
            "http://h:9292/v1/",
            "h:9292",
            "h",
        ] {
            assert_eq!(
                GlanceEndpoint::parse(text).unwrap(),
                GlanceEndpoint::new("h", 9292),
                "{text}"
            );
        }
        let proxied = GlanceEndpoint::parse("http://cloud/image/v1.1/").unwrap();
        assert_eq!(
            proxied.image_uri("a b"),
            "http://cloud:80/image/v1.1/images/a%20b"
        );
        let six = GlanceEndpoint::parse("http://[::1]:9292").unwrap();
        assert_eq!(
            (six.host(), six.authority().as_str()),
            ("::1", "[::1]:9292")
        );
    }

    #[test]
    fn refuses_other_addresses() {
        for text in [
            "https://h:9292",
            "ftp://h",
            "http://",
            "http://u:p@h/",
            "http://h:99999",
            "http://h/v2",
            "http://h/?a=b",
            "",
        ] {
            let error = GlanceEndpoint::parse(text).expect_err(text);
            assert!(matches!(error, ClientError::Invalid(_)), "{text}");
        }
        let tls = GlanceEndpoint::parse("https://h:9292")
            .unwrap_err()
            .to_string();
        assert!(tls.contains("no TLS"), "{tls}");
    }

    #[test]
    fn images_are_named_by_id_or_uri() {
        let endpoint = GlanceEndpoint::new("glance.openstack.org", 9292);
        for reference in [
            "1",
            "http://glance.openstack.org/images/1",
            "http://Glance.OpenStack.org:9292/v1/images/1",
        ] {
            assert_eq!(endpoint.image_id(reference).unwrap(), "1");
        }
        for reference in [
            "",
            "..",
            "http://elsewhere:9292/v1/images/1",
            "http://glance.openstack.org:80/images/1",
            "http://glance.openstack.org/images/",
            "http://glance.openstack.org/images/1/members",
            "http://glance.openstack.org/images/%2e%2e",
        ] {
            assert!(endpoint.image_id(reference).is_err(), "{reference}");
        }
        assert_eq!(
            endpoint.path(&["images", "a/../b"]),
            "/v1/images/a%2F..%2Fb"
        );
    }
}
