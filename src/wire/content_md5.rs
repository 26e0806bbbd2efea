//! `Content-MD5`, the MD5 of a body (RFC 1864): reading and writing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Kind, Result};
use crate::image::Md5Digest;

/// The header's name.
pub static CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// Returns the header's value for a body with this digest.
pub fn write_content_md5(digest: &Md5Digest) -> Option<HeaderValue> {
    HeaderValue::try_from(BASE64.encode(digest)).ok()
}

/// Returns the digest that a request states; `None` without the header.
///
/// # Errors
/// [`Kind::Invalid`] if the header is not the base64 of one MD5 digest.
pub fn read_content_md5(headers: &HeaderMap) -> Result<Option<Md5Digest>> {
    let mut values = headers.get_all(&CONTENT_MD5).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digest = BASE64.decode(value.as_bytes().trim_ascii()).ok();
    let digest = digest.and_then(|bytes| Md5Digest::try_from(bytes).ok());
    match (digest, values.next()) {
        (Some(digest), None) => Ok(Some(digest)),
        _ => Err(Error::new(
            Kind::Invalid,
            "Content-MD5 must be the base64 of one MD5 digest (RFC 1864).",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<Md5Digest>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&CONTENT_MD5, HeaderValue::from_static(value));
        }
        read_content_md5(&headers)
    }

    #[test]
    fn a_written_digest_is_read_back() {
        let digest: Md5Digest = std::array::from_fn(|at| (at * 17) as u8);
        let mut headers = HeaderMap::new();
        headers.insert(&CONTENT_MD5, write_content_md5(&digest).unwrap());
        assert_eq!(read_content_md5(&headers).unwrap(), Some(digest));
        assert_eq!(read(&[]).unwrap(), None);
    }

    #[test]
    fn malformed_values_are_refused() {
        let good = "1B2M2Y8AsgTpgAmY7PhCfg==";
        assert!(read(&[good]).is_ok());
        for values in [
            &[""][..],
            &["d41d8cd98f00b204e9800998ecf8427e"],
            &["1B2M2Y8AsgTpgAmY7PhCfg"],
            &["1B2M2Y8AsgTpgAmY7PhC"],
            &[good, good],
        ] {
            let error = read(values).expect_err("refused");
            assert_eq!(error.kind(), Kind::Invalid, "{values:?}");
        }
    }
}
