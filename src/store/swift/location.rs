//! Locations of objects in Swift, as Glance's registries hold them.
//!
//! * `swift+config://reference/container/object`: in an account that the operator named.
//! * `swift://user:key@auth.example.org/v1.0/container/object`, with `swift+https` the same
//!   and `swift+http` without TLS: where to log in, and as whom.
//! * `swift+https://swift.example.org/v1/AUTH_x/container/object`, without a user: in the
//!   account at that URL, as multi-tenant Glance wrote them.
//!
//! User and key are percent-encoded (`project%3Auser:key`), names of containers and objects
//! are not: Glance writes and reads them as they are.

use percent_encoding::percent_decode_str;

use super::names::segment_prefix;
use crate::config::Secret;
use crate::image::{ImageId, Location};

/// The schemes, the store's name first.
pub(in crate::store) const SCHEMES: &[&str] =
    &["swift", "swift+https", "swift+http", "swift+config"];

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SwiftLocation {
    pub(super) holder: LocationAccount,
    pub(super) container: String,
    pub(super) object: String,
}

/// In whose account it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LocationAccount {
    /// One that the operator has given this name.
    Reference(String),
    /// One that a login leads to.
    Login(Credentials),
    /// The one at this URL.
    Url(String),
}

/// Where to log in, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Credentials {
    pub(super) auth_address: String,
    pub(super) user: String,
    pub(super) key: Secret,
}

/// The location is none of Swift's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LocationError {
    #[error("a swift location has another scheme")]
    Scheme,
    #[error("a swift location ends in a container and an object")]
    Object,
    #[error("a swift location has a host, or a reference")]
    Host,
    #[error("the credentials in a swift location are user:key, percent-encoded")]
    Credentials,
    #[error("a swift location has one scheme; write swift+http:// for a login without TLS")]
    Schemes,
}

impl SwiftLocation {
    /// Reads a location.
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
            holder: holder(&scheme, rest)?,
            container: container.to_owned(),
            object: object.to_owned(),
        })
    }

    /// The prefix of the segments, of an image that a node has written. They are its own
    /// also when nothing leads to them any more, as after a removal that was cut off. Of
    /// other places nobody knows what stands beside them.
    pub(super) fn own_segments(&self) -> Option<String> {
        let is_named = matches!(self.holder, LocationAccount::Reference(_));
        let is_image = self.object.parse::<ImageId>().is_ok();
        (is_named && is_image).then(|| segment_prefix(&self.object))
    }
}

/// The location of an object in an account that the operator has named: the one form that
/// holds no secret, and that Glance reads with the same options.
pub(super) fn by_reference(reference: &str, container: &str, object: &str) -> String {
    format!("swift+config://{reference}/{container}/{object}")
}

/// What stands before the container.
fn holder(scheme: &str, text: &str) -> Result<LocationAccount, LocationError> {
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
        Some(login) => credentials(url, login).map(LocationAccount::Login),
    }
}

/// `user:key`, where the user of old locations is `account:user`.
fn credentials(auth_address: String, login: &str) -> Result<Credentials, LocationError> {
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
        let Ok(LocationAccount::Login(login)) = parse(uri).map(|place| place.holder) else {
            panic!("{uri} has no login");
        };
        let key = login.key.expose().to_owned();
        (login.auth_address, login.user, key)
    }

    #[test]
    fn credentials_in_every_spelling() {
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
        let place = parse("swift://u:k@h/v1/my images/a%20b").unwrap();
        assert_eq!((&*place.container, &*place.object), ("my images", "a%20b"));
    }

    #[test]
    fn without_a_login() {
        let reference = parse("swift+config://ref1/glance/o").unwrap();
        assert_eq!(
            reference.holder,
            LocationAccount::Reference("ref1".to_owned())
        );
        let url = parse("swift+https://swift.example.org/v1/AUTH_x/c/o").unwrap();
        assert_eq!(
            url.holder,
            LocationAccount::Url("https://swift.example.org/v1/AUTH_x".to_owned())
        );
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
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
    fn segments_are_known_only_of_images_in_named_accounts() {
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
    fn debug_keeps_the_key() {
        let place = parse("swift://user:CANARY@h/c/o").unwrap();
        assert!(!format!("{place:?}").contains("CANARY"));
    }

    #[test]
    fn what_is_written_is_read() {
        let uri = by_reference("ref1", "glance_71", "71c675ab");
        let place = parse(&uri).unwrap();
        assert_eq!(
            (&*place.container, &*place.object),
            ("glance_71", "71c675ab")
        );
    }
}
