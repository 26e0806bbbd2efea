//! Locations of objects, in the format of Glance's registries:
//! `s3+https://ACCESS:SECRET@host/bucket/key`.
//!
//! The schemes `s3` and `s3+http` mean plain HTTP. Amazon's secret keys may contain slashes, so a
//! location is parsed from its end. Keys may be URL-encoded. Locations that this program writes
//! have no keys and belong to the configured account.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::config::Secret;
use crate::error::{Error, Result};
use crate::image::Location;

/// The parsed location of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct S3Location {
    /// True if the service is reached over TLS.
    pub(super) is_tls: bool,
    /// Host and port, and a path if the service is below one.
    pub(super) host: String,
    /// Access key and secret key; `None` for the configured account.
    pub(super) keys: Option<(Secret, Secret)>,
    pub(super) bucket: String,
    pub(super) key: String,
}

impl S3Location {
    /// Parses a location.
    ///
    /// # Errors
    /// `Internal` if it is malformed; the error does not contain it, since it may hold a secret.
    pub(super) fn parse(location: &Location) -> Result<Self> {
        let parsed = Self::parse_rest(location.scheme(), location.expose_rest());
        parsed.ok_or_else(|| Error::internal(format!("a {location:?} location is malformed")))
    }

    fn parse_rest(scheme: &str, rest: &str) -> Option<Self> {
        let rest = rest.strip_prefix("//")?;
        let (keys, path) = match rest.rsplit_once('@') {
            Some((keys, path)) => (Some(parse_keys(keys)?), path),
            None => (None, rest),
        };
        let (path, key) = path.rsplit_once('/')?;
        let (host, bucket) = path.rsplit_once('/')?;
        let host = host.trim_matches('/');
        if [host, bucket, key].iter().any(|part| part.is_empty()) {
            return None;
        }
        Some(Self {
            is_tls: scheme.eq_ignore_ascii_case("s3+https"),
            host: host.to_owned(),
            keys,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Returns the service's URL.
    pub(super) fn endpoint(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.host)
    }
}

/// Returns the location of an object of the configured account, without keys.
pub(super) fn build_location(endpoint: &str, bucket: &str, key: &str) -> Result<Location> {
    let (scheme, host) = match endpoint.split_once("://") {
        Some(("https", host)) => ("s3+https", host),
        Some((_, host)) => ("s3", host),
        None => ("s3", endpoint),
    };
    let uri = format!("{scheme}://{host}/{bucket}/{key}");
    Location::parse(&uri).map_err(Error::internal)
}

/// Parses `ACCESS:SECRET`, both URL-encoded.
fn parse_keys(keys: &str) -> Option<(Secret, Secret)> {
    let (access, secret) = keys.split_once(':')?;
    let decode = |text: &str| {
        let text: Cow<'_, str> = percent_decode_str(text).decode_utf8().ok()?;
        (!text.is_empty()).then(|| Secret::new(text.into_owned()))
    };
    Some((decode(access)?, decode(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(uri: &str) -> S3Location {
        S3Location::parse(&Location::parse(uri).unwrap()).unwrap()
    }

    fn keys(parsed: &S3Location) -> (&str, &str) {
        let (access, secret) = parsed.keys.as_ref().unwrap();
        (access.expose(), secret.expose())
    }

    #[test]
    fn locations_written_by_glance_are_parsed() {
        let plain = parsed("s3://AK:sec/ret+x=@10.0.0.1:8080/images/an-id");
        assert_eq!(plain.endpoint(), "http://10.0.0.1:8080");
        assert_eq!((&*plain.bucket, &*plain.key), ("images", "an-id"));
        assert_eq!(keys(&plain), ("AK", "sec/ret+x="));

        let tls = parsed("s3+https://AK:a%2Fb@s3.example.org/services/s3/images/an-id");
        assert_eq!(tls.endpoint(), "https://s3.example.org/services/s3");
        assert_eq!(keys(&tls), ("AK", "a/b"));

        let quoted = parsed("S3+HTTP://test%3Atester:testing@h/b/k");
        assert_eq!(quoted.endpoint(), "http://h");
        assert_eq!(keys(&quoted), ("test:tester", "testing"));
    }

    #[test]
    fn written_locations_have_no_keys() {
        for endpoint in ["http://h:9000", "https://h/s3"] {
            let location = build_location(endpoint, "images", "an-id").unwrap();
            let parsed = S3Location::parse(&location).unwrap();
            assert_eq!(parsed.endpoint(), endpoint);
            assert_eq!(parsed.keys, None);
        }
    }

    #[test]
    fn errors_do_not_contain_malformed_locations() {
        for uri in [
            "s3:/h/b/k",
            "s3://h/b",
            "s3://h//k",
            "s3:///b/k",
            "s3://CANARY@h/b/k",
            "s3://CANARY:@h/b/k",
            "s3://AK:CANARY%ff@h/b/k",
        ] {
            let error = S3Location::parse(&Location::parse(uri).unwrap()).unwrap_err();
            assert!(!format!("{error:?}").contains("CANARY"), "{uri}");
        }
    }

    #[test]
    fn debug_output_has_no_keys() {
        let parsed = parsed("s3://CANARY:CANARY@h/b/k");
        assert!(!format!("{parsed:?}").contains("CANARY"));
    }
}
