//! `Cache-Control` and `Vary`: they keep caches between client and server from serving one
//! caller's response to another (RFC 9111, sections 3 and 4).

use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, VARY};

/// For responses that depend on the caller: no shared cache stores them (RFC 9111, 5.2.2.7), and
/// private ones validate before they reuse them.
const PRIVATE: &str = "private, no-cache";

/// For responses that are the same for every caller. A cache must validate before it reuses one:
/// the image may have been deleted since, and `Last-Modified` would let a cache guess a
/// lifetime (RFC 9111, 4.2.2).
const SHARED: &str = "no-cache";

/// The caching headers of all responses of an API.
pub(super) struct CacheHeaders {
    control: HeaderValue,
    vary: Option<HeaderValue>,
    lines: Box<[u8]>,
}

impl CacheHeaders {
    /// Returns the headers for an API that identifies callers by these request headers, separated
    /// by commas; empty if every caller gets the same responses.
    pub(super) fn new(identity_headers: &'static str) -> Self {
        if identity_headers.is_empty() {
            return Self {
                control: HeaderValue::from_static(SHARED),
                vary: None,
                lines: format!("Cache-Control: {SHARED}\r\n").into_bytes().into(),
            };
        }
        let lines = format!("Cache-Control: {PRIVATE}\r\nVary: {identity_headers}\r\n");
        Self {
            control: HeaderValue::from_static(PRIVATE),
            vary: Some(HeaderValue::from_static(identity_headers)),
            lines: lines.into_bytes().into(),
        }
    }

    /// Adds the headers to a response; a stricter `Cache-Control` stays.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        let control = headers.entry(CACHE_CONTROL);
        control.or_insert_with(|| self.control.clone());
        if let Some(vary) = &self.vary {
            headers.append(VARY, vary.clone());
        }
    }

    /// Returns the same headers as lines, for the fast path.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_equal_headers() {
        for identity_headers in ["", "X-Auth-Token"] {
            let caching = CacheHeaders::new(identity_headers);
            let mut headers = HeaderMap::new();
            caching.add_to(&mut headers);
            let lines = std::str::from_utf8(caching.lines()).unwrap();
            for line in lines.split_terminator("\r\n") {
                let (name, value) = line.split_once(": ").unwrap();
                assert_eq!(headers.remove(name).unwrap(), value);
            }
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn stricter_cache_control_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        CacheHeaders::new("").add_to(&mut headers);
        assert_eq!(headers[CACHE_CONTROL], "no-store");
    }
}
