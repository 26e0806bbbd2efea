//! Locations: URIs of objects in stores.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The URI of an object in a store, as Glance's registries hold it: `file:///var/…`,
/// `swift+https://user:key@host/…`.
///
/// A location may contain credentials, so `Debug` and errors print the scheme alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Location(Box<str>);

/// The text is not a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a location is a URI: scheme, colon, and what the store of that scheme needs")]
pub struct LocationError;

impl Location {
    /// Parses a URI: a scheme of RFC 3986, a colon, and a rest that only the store interprets.
    ///
    /// # Errors
    /// [`LocationError`] without a scheme or a rest.
    pub fn parse(uri: &str) -> Result<Self, LocationError> {
        let (scheme, rest) = uri.split_once(':').ok_or(LocationError)?;
        let mut letters = scheme.bytes();
        let starts_well = letters.next().is_some_and(|b| b.is_ascii_alphabetic());
        let continues_well =
            letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !starts_well || !continues_well || rest.is_empty() {
            return Err(LocationError);
        }
        Ok(Self(uri.into()))
    }

    /// Returns the scheme, which selects the store. Schemes compare without case (RFC 3986, 3.1).
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// Returns the part behind the scheme and its colon. Only stores may use it, since it may
    /// contain a secret.
    pub fn expose_rest(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, rest)| rest)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:…", self.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_scheme_from_rest() {
        let location = Location::parse("swift+https://acct:key@host/v1/c/o").unwrap();
        assert_eq!(location.scheme(), "swift+https");
        assert_eq!(location.expose_rest(), "//acct:key@host/v1/c/o");
    }

    #[test]
    fn debug_hides_credentials() {
        let location = Location::parse("swift://acct:CANARY@host/c/o").unwrap();
        assert!(!format!("{location:?}").contains("CANARY"));
    }

    #[test]
    fn text_without_a_scheme_is_refused() {
        for text in ["", "x", ":x", "file:", "1a:x", "a b:x", "/etc/passwd"] {
            assert_eq!(Location::parse(text), Err(LocationError), "{text}");
        }
    }
}
