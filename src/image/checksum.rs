//! MD5 checksums as Glance keeps them: text that a client states, or the digest computed here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The MD5 digest of an image's bytes, 16 bytes (RFC 1321).
pub type Md5Digest = [u8; 16];

/// Longest checksum in characters: the 32 hexadecimal digits of an MD5.
const MAX_LEN: usize = 32;

/// The checksum in a record: stated by a client, or computed.
///
/// Glance compares checksums as text and accepts any stated text of at most 32 characters that a
/// header can hold; one that is not an MD5 never matches. Records, dumps and registries are read
/// under the same rule, because a checksum is sent as a header and as entity tag.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum(Box<str>);

/// The text is not a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a checksum has at most {MAX_LEN} characters and no control characters")]
pub struct InvalidChecksum;

impl Checksum {
    /// Returns a stated checksum; `None` if it is longer than 32 characters or has control
    /// characters, which could end a header line.
    pub fn stated(text: &str) -> Option<Self> {
        let is_short = text.chars().count() <= MAX_LEN;
        let is_printable = !text.chars().any(char::is_control);
        (is_short && is_printable).then(|| Self(text.into()))
    }

    /// Returns the text of a computed digest: lower-case hexadecimal.
    pub fn of(digest: &Md5Digest) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(MAX_LEN);
        for byte in digest {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the digest; `None` if the text is not one.
    pub fn digest(&self) -> Option<Md5Digest> {
        let text = self.0.as_bytes();
        if text.len() != MAX_LEN {
            return None;
        }
        let mut digest = [0; 16];
        for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = (high * 16 + low) as u8;
        }
        Some(digest)
    }
}

impl TryFrom<String> for Checksum {
    type Error = InvalidChecksum;

    fn try_from(text: String) -> Result<Self, InvalidChecksum> {
        Self::stated(&text).ok_or(InvalidChecksum)
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.0.into()
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_and_text_agree() {
        let digest: Md5Digest = std::array::from_fn(|i| (i * 17) as u8);
        let sum = Checksum::of(&digest);
        assert_eq!(sum.as_str(), "00112233445566778899aabbccddeeff");
        assert_eq!(sum.digest(), Some(digest));
    }

    #[test]
    fn stated_text_need_not_be_an_md5() {
        assert!(Checksum::stated("not an md5").is_some_and(|sum| sum.digest().is_none()));
        assert!(Checksum::stated(&"a".repeat(32)).is_some());
        assert!(Checksum::stated(&"a".repeat(33)).is_none());
        for text in ["a\r\nb: c", "a\0", "a\tb", "a\u{85}"] {
            assert!(Checksum::stated(text).is_none(), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<Checksum>(&json).is_err(), "{text:?}");
        }
        let json = serde_json::to_string("not an md5").unwrap();
        let read: Checksum = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }
}
