//! Where an image's bytes are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The URI of an object in a store, as Glance's registries hold it: `file:///var/…`,
/// `swift+https://user:key@host/…`.
///
/// It may hold credentials, so neither `Debug` nor any error prints more than the scheme.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Location(Box<str>);

/// The text is no location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a location is a URI: scheme, colon, and what the store of that scheme needs")]
pub struct LocationError;

impl Location {
    /// Parses a URI: a scheme of RFC 3986, a colon, and a rest that is left to the store.
    pub fn parse(uri: &str) -> Result<Self, LocationError> {
        let (scheme, rest) = uri.split_once(':').ok_or(LocationError)?;
        let mut letters = scheme.bytes();
        let starts_well = letters.next().is_some_and(|b| b.is_ascii_alphabetic());
        let goes_on_well =
            letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !starts_well || !goes_on_well || rest.is_empty() {
            return Err(LocationError);
        }
        Ok(Self(uri.into()))
    }

    /// The scheme, which chooses the store. Schemes compare without case (RFC 3986, 3.1).
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// What follows the scheme and its colon. For the store alone: it may hold a secret.
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
    fn debug_keeps_the_secret() {
        let location = Location::parse("swift://acct:CANARY@host/c/o").unwrap();
        assert!(!format!("{location:?}").contains("CANARY"));
    }

    #[test]
    fn refuses_what_has_no_scheme() {
        for text in ["", "x", ":x", "file:", "1a:x", "a b:x", "/etc/passwd"] {
            assert_eq!(Location::parse(text), Err(LocationError), "{text}");
        }
    }
}
