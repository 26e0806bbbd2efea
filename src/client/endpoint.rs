//! The address of a Glance server: parses URLs in the forms that users, environments and
//! catalogues give, and builds the paths and URIs of images on the server.

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::{ClientError, Result};

/// The port of the Image service.
pub const DEFAULT_PORT: u16 = 9292;

/// Characters that are escaped in a path segment or a query value: all but the unreserved ones of
/// RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A Glance server's address: scheme, host, port, and the path of its v1 API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlanceEndpoint {
    is_tls: bool,
    host: String,
    port: u16,
    /// Path of the v1 API without a slash at its end, such as `/v1`.
    prefix: String,
}

impl GlanceEndpoint {
    /// Returns the address of a server that is reached by plain HTTP.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            is_tls: false,
            host: host.into(),
            port,
            prefix: "/v1".to_owned(),
        }
    }

    /// Parses `http[s]://HOST[:PORT][/PATH][/v1]`, or `HOST[:PORT]`. A URL without a port means
    /// port 80 or 443, as for every URL; a host without a scheme means [`DEFAULT_PORT`].
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for anything else, including a path that ends in `/v2`.
    pub fn parse(text: &str) -> Result<Self> {
        let (url, default_port) = match text.split_once("://") {
            None => (format!("http://{text}"), DEFAULT_PORT),
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => (text.to_owned(), 80),
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => (text.to_owned(), 443),
            Some(_) => return Err(invalid(text, "the scheme must be http or https")),
        };
        let uri: Uri = url
            .parse()
            .map_err(|_| invalid(text, "it is not a URL; expected http://HOST:PORT"))?;
        let (host, port) = authority_of(&uri).ok_or_else(|| {
            invalid(
                text,
                "expected HOST or HOST:PORT, without a user name, after the scheme",
            )
        })?;
        if uri.query().is_some() {
            return Err(invalid(text, "it must not have a query"));
        }
        Ok(Self {
            is_tls: is_https(&url),
            host,
            port: port.unwrap_or(default_port),
            prefix: prefix_of(text, uri.path())?,
        })
    }

    /// Parses the URL of an endpoint in Keystone's catalogue. Clouds register the Image service
    /// with or without a version, and that of another version is removed.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] if it is not a URL of a server.
    pub(super) fn from_catalogue(url: &str) -> Result<Self> {
        let url = url.trim_end_matches('/');
        let root = match url.rsplit_once('/') {
            Some((root, last)) if is_v2(last) => root,
            _ => url,
        };
        Self::parse(root)
    }

    /// Returns true if the server is reached by TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Returns the host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns `HOST:PORT`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Returns the URI of an image on this server.
    pub fn image_uri(&self, id: &str) -> String {
        self.uri(&self.path(&["images", id]))
    }

    /// Returns the absolute URI of a path with query on this server.
    pub(super) fn uri(&self, path: &str) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority())
    }

    /// Returns a path below the v1 API; each segment is escaped.
    pub(super) fn path(&self, segments: &[&str]) -> String {
        let mut path = self.prefix.clone();
        for segment in segments {
            path.push('/');
            path.push_str(&escape(segment));
        }
        path
    }

    /// Returns the identifier that `reference` names: itself, or that in an image's URI.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for a URI of another server, because a request to it would
    /// disclose this server's token, and for a text that cannot be an identifier.
    pub(super) fn image_id(&self, reference: &str) -> Result<String> {
        let id = if reference.contains("://") {
            self.id_of_uri(reference)?
        } else {
            reference.to_owned()
        };
        if id.is_empty() || id == "." || id == ".." {
            return Err(ClientError::Invalid(format!(
                "'{reference}' is not an image ID."
            )));
        }
        Ok(id)
    }

    fn id_of_uri(&self, reference: &str) -> Result<String> {
        let wrong = |why: &str| Err(invalid(reference, why));
        let Ok(uri) = reference.parse::<Uri>() else {
            return wrong("it is neither an image ID nor a URI");
        };
        let Some((host, port)) = authority_of(&uri) else {
            return wrong("it is not the URI of an image");
        };
        // Glance's first documents name images by URIs without a port.
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

/// Returns true for a URL of scheme `https`.
pub(super) fn is_https(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

/// Returns true for a path segment that names version 2 of the Image API.
fn is_v2(segment: &str) -> bool {
    segment == "v2" || segment.starts_with("v2.")
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

/// Returns the path of the v1 API: the given one if it names version 1, otherwise `/v1` below it.
fn prefix_of(text: &str, path: &str) -> Result<String> {
    let path = path.trim_end_matches('/');
    match path.rsplit('/').next().unwrap_or_default() {
        "v1" | "v1.0" | "v1.1" => Ok(path.to_owned()),
        last if is_v2(last) => Err(invalid(
            text,
            "this client supports v1 of the Image API; remove /v2",
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
    fn urls_with_and_without_a_version_are_equal() {
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
    fn https_has_its_own_default_port() {
        let endpoint = GlanceEndpoint::parse("HTTPS://h").unwrap();
        assert_eq!(endpoint.image_uri("1"), "https://h:443/v1/images/1");
        assert!(endpoint.is_tls());
    }

    #[test]
    fn other_versions_are_removed_from_urls_of_a_catalogue() {
        for url in ["http://h:9292", "http://h:9292/v2/", "http://h:9292/v1"] {
            let endpoint = GlanceEndpoint::from_catalogue(url).unwrap();
            assert_eq!(endpoint, GlanceEndpoint::new("h", 9292), "{url}");
        }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        for text in [
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
    }

    #[test]
    fn image_is_named_by_id_or_uri() {
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
