//! Locations of objects in Swift, in the formats of Glance's registries.
//!
//! * `swift+config://reference/container/object`: in an account that the operator has configured.
//! * `swift://user:key@auth.example.org/v1.0/container/object`, also with `swift+https`, and with
//!   `swift+http` without TLS: the address and credentials of a login.
//! * `swift+https://swift.example.org/v1/AUTH_x/container/object`, without a user: in the account at
//!   that URL, as multi-tenant Glance wrote it.
//!
//! User and key are percent-encoded (`project%3Auser:key`). Names of containers and objects are
//! not, because Glance writes and reads them verbatim.

use percent_encoding::percent_decode_str;

use super::names::segment_prefix;
use crate::config::Secret;
use crate::image::{ImageId, Location};

/// The location schemes; the first one is the store's name.
pub(in crate::store) const SCHEMES: &[&str] =
    &["swift", "swift+https", "swift+http", "swift+config"];

/// The parsed location of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SwiftLocation {
    pub(super) account: LocationAccount,
    pub(super) container: String,
    pub(super) object: String,
}

/// The account of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LocationAccount {
    /// A configured account with this reference.
    Reference(String),
    /// The account that a login with these credentials returns.
    Login(Credentials),
    /// The account at this URL.
    Url(String),
}

/// The address and credentials of a login.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Credentials {
    pub(super) auth_address: String,
    pub(super) user: String,
    pub(super) key: Secret,
}

/// The location is malformed. The error contains nothing of it, since it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LocationError {
    #[error("a swift location has an unknown scheme")]
    Scheme,
    #[error("a swift location must end in a container and an object")]
    Object,
    #[error("a swift location must have a host or a reference")]
    Host,
    #[error("the credentials in a swift location must be user:key, percent-encoded")]
    Credentials,
    #[error(
        "a swift location must have one scheme only; write swift+http:// for a login without TLS"
    )]
    Schemes,
}

impl SwiftLocation {
    /// Parses a location.
    pub(super) fn parse(location: &Location) -> Result<Self, LocationError> {
        let scheme = location.scheme().to_ascii_lowercase();
        let rest = location.expose_rest();
        let rest = rest.strip_prefix("//").ok_or(LocationError::Host)?;
        if rest.contains("://") {
            return Err(LocationError::Schemes);
        }
        let (rest, object) = rest.rsplit_once('/').ok_or(LocationError::Object)?;
        let (rest, container) = rest.rsplit_once('/').ok_or(LocationError::Object)?;
        if container.is_empty() || object.is_empty() || object.contains(['?', '#']) {
            return Err(LocationError::Object);
        }
        Ok(Self {
            account: parse_account(&scheme, rest)?,
            container: container.to_owned(),
            object: object.to_owned(),
        })
    }

    /// Returns the name prefix of the segments, for an image in a configured account. They belong
    /// to the image even if no manifest refers to them, as after an interrupted removal. Elsewhere
    /// objects with such names may belong to others.
    pub(super) fn own_segments(&self) -> Option<String> {
        let is_named = matches!(self.account, LocationAccount::Reference(_));
        let is_image = self.object.parse::<ImageId>().is_ok();
        (is_named && is_image).then(|| segment_prefix(&self.object))
    }
}

/// Returns the location of an object in a configured account. It is the only form without a secret
/// that Glance reads with the same options.
pub(super) fn by_reference(reference: &str, container: &str, object: &str) -> String {
    format!("swift+config://{reference}/{container}/{object}")
}

/// Parses the part of a location before the container.
fn parse_account(scheme: &str, text: &str) -> Result<LocationAccount, LocationError> {
    let web = match scheme {
        "swift+config" if text.is_empty() || text.contains(['/', '@']) => {
            return Err(LocationError::Host);
        }
        "swift+config" => return Ok(LocationAccount::Reference(text.to_owned())),
        "swift" | "swift+https" => "https",
        "swift+http" => "http",
        _ => return Err(LocationError::Scheme),
    };
    let (authority, path) = match text.split_once('/') {
        Some((authority, path)) => (authority, path.trim_end_matches('/')),
        None => (text, ""),
    };
    let (login, host) = match authority.rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, authority),
    };
    if host.is_empty() {
        return Err(LocationError::Host);
    }
    let slash = if path.is_empty() { "" } else { "/" };
    let url = format!("{web}://{host}{slash}{path}");
    match login {
        None => Ok(LocationAccount::Url(url)),
        Some(login) => parse_credentials(url, login).map(LocationAccount::Login),
    }
}

/// Parses `user:key`. The user of old locations is `account:user`, so the last colon separates.
fn parse_credentials(auth_address: String, login: &str) -> Result<Credentials, LocationError> {
    let (user, key) = login.rsplit_once(':').ok_or(LocationError::Credentials)?;
    let decode = |text| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map_err(|_| LocationError::Credentials)
    };
    let (user, key) = (decode(user)?, decode(key)?);
    if user.is_empty() || key.is_empty() {
        return Err(LocationError::Credentials);
    }
    Ok(Credentials {
        auth_address,
        user: user.into_owned(),
        key: Secret::new(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Result<SwiftLocation, LocationError> {
        SwiftLocation::parse(&Location::parse(uri).unwrap())
    }

    fn login(uri: &str) -> (String, String, String) {
        let Ok(LocationAccount::Login(login)) = parse(uri).map(|parsed| parsed.account) else {
            panic!("{uri} has no login");
        };
        let key = login.key.expose().to_owned();
        (login.auth_address, login.user, key)
    }

    #[test]
    fn credentials_are_parsed_in_every_spelling() {
        let expected = |address: &str, user: &str, key: &str| {
            (address.to_owned(), user.to_owned(), key.to_owned())
        };
        for (uri, found) in [
            (
                "swift://user:key@auth.example.org/c/o",
                expected("https://auth.example.org", "user", "key"),
            ),
            (
                "swift+https://tenant%3Auser:key@auth.example.org:5000/v2.0/c/o",
                expected("https://auth.example.org:5000/v2.0", "tenant:user", "key"),
            ),
            (
                "swift://account:user:key@auth.example.org/v1/c/o",
                expected("https://auth.example.org/v1", "account:user", "key"),
            ),
            (
                "swift+http://a%3Au:p%40ss%2Fw%3Ard@[::1]:8080/auth/v1.0/c/o",
                expected("http://[::1]:8080/auth/v1.0", "a:u", "p@ss/w:rd"),
            ),
            ("SWIFT+HTTP://u:k@h//c/o", expected("http://h", "u", "k")),
        ] {
            assert_eq!(login(uri), found, "{uri}");
        }
    }

    #[test]
    fn containers_and_objects_are_taken_as_they_are() {
        let parsed = parse("swift://u:k@h/v1/my images/a%20b").unwrap();
        assert_eq!(
            (&*parsed.container, &*parsed.object),
            ("my images", "a%20b")
        );
    }

    #[test]
    fn without_a_login() {
        let reference = parse("swift+config://ref1/glance/o").unwrap();
        assert_eq!(
            reference.account,
            LocationAccount::Reference("ref1".to_owned())
        );
        let url = parse("swift+https://swift.example.org/v1/AUTH_x/c/o").unwrap();
        assert_eq!(
            url.account,
            LocationAccount::Url("https://swift.example.org/v1/AUTH_x".to_owned())
        );
    }

    #[test]
    fn malformed_locations_are_refused() {
        for uri in [
            "swift:x",
            "swift://h",
            "swift://h/c",
            "swift:///c/o",
            "swift://u:k@/c/o",
            "swift://u@h/c/o",
            "swift://:k@h/c/o",
            "swift://u:@h/c/o",
            "swift://u:%ff@h/c/o",
            "swift://h//o",
            "swift://h/c/",
            "swift://h/c/o?x",
            "swift://u:k@http://h/c/o",
            "swift+config:///c/o",
            "swift+config://u:k@h/c/o",
            "swift+config://ref/v1/c/o",
            "swift+ftp://h/c/o",
        ] {
            assert!(parse(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn segments_are_owned_only_by_images_in_configured_accounts() {
        const ID: &str = "71c675ab-d94f-49cd-a114-e12490b328d9";
        let segments = |uri: &str| parse(uri).unwrap().own_segments();
        let own = segments(&format!("swift+config://ref1/glance/{ID}"));
        assert_eq!(own, Some(format!("{ID}-")));
        for uri in [
            "swift+config://ref1/glance/image",
            "swift://u:k@h/v1/c/image",
        ] {
            assert_eq!(segments(uri), None, "{uri}");
        }
        assert_eq!(segments(&format!("swift://u:k@h/v1/c/{ID}")), None);
    }

    #[test]
    fn debug_output_has_no_key() {
        let parsed = parse("swift://user:CANARY@h/c/o").unwrap();
        assert!(!format!("{parsed:?}").contains("CANARY"));
    }

    #[test]
    fn written_locations_are_parsed() {
        let uri = by_reference("ref1", "glance_71", "71c675ab");
        let parsed = parse(&uri).unwrap();
        assert_eq!(
            (&*parsed.container, &*parsed.object),
            ("glance_71", "71c675ab")
        );
    }
}
