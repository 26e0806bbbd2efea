//! Image identifiers: UUIDs, compared exactly as clients sent them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Longest identifier in bytes: a UUID with its four dashes.
const MAX_LEN: usize = 36;

/// The identifier of an image: 32 hexadecimal digits, with the dashes of a UUID or none.
///
/// Glance stores an identifier as it was sent and compares it exactly, so two spellings of one
/// UUID are two images. The grammar contains no character with a meaning in file systems or URIs,
/// so stores can name objects by identifiers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId {
    // Unused bytes are zero, so the derived order is the order of the texts.
    text: [u8; MAX_LEN],
    len: u8,
}

/// The text is not an image identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an image id is 32 hexadecimal digits, with or without the dashes of a UUID")]
pub struct InvalidImageId;

impl ImageId {
    /// Returns a new random identifier: UUID version 4 in lower case.
    pub fn random() -> Self {
        let mut text = [0; MAX_LEN];
        Uuid::new_v4().hyphenated().encode_lower(&mut text);
        Self {
            text,
            len: MAX_LEN as u8,
        }
    }

    /// Returns the identifier in lower case, by which stores name the data: some backends ignore
    /// case in names.
    pub fn to_lower(&self) -> Self {
        let mut lower = *self;
        lower.text.make_ascii_lowercase();
        lower
    }

    /// Returns the identifier as it was sent.
    pub fn as_str(&self) -> &str {
        // The constructors accept ASCII only, so the fallback is never used.
        std::str::from_utf8(&self.text[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl FromStr for ImageId {
    type Err = InvalidImageId;

    fn from_str(text: &str) -> Result<Self, InvalidImageId> {
        let bytes = text.as_bytes();
        let dashed = bytes.len() == 36;
        if !dashed && bytes.len() != 32 {
            return Err(InvalidImageId);
        }
        let valid = bytes.iter().enumerate().all(|(position, byte)| {
            if dashed && matches!(position, 8 | 13 | 18 | 23) {
                *byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        });
        if !valid {
            return Err(InvalidImageId);
        }
        let mut id = Self {
            text: [0; MAX_LEN],
            len: bytes.len() as u8,
        };
        id.text[..bytes.len()].copy_from_slice(bytes);
        Ok(id)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ImageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_kept_as_sent() {
        for text in [
            "71c675ab-d94f-49cd-a114-e12490b328d9",
            "71C675AB-D94F-49CD-A114-E12490B328D9",
            "71c675abd94f49cda114e12490b328d9",
        ] {
            assert_eq!(text.parse::<ImageId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "1",
            "..",
            "detail",
            "../../etc/cron.d/x",
            "71c675ab-d94f-49cd-a114-e12490b328d",
            "71c675ab-d94f-49cd-a114-e12490b328d\0",
            "71c675ab-d94f-49cd-a114-e12490b328dg",
            "-71c675abd94f49cda114e12490b328d",
            "71c675abd-94f-49cd-a114-e12490b328d9",
        ] {
            assert_eq!(text.parse::<ImageId>(), Err(InvalidImageId), "{text}");
        }
    }

    #[test]
    fn stores_use_lower_case() {
        let id: ImageId = "71C675AB-D94F-49CD-A114-E12490B328D9".parse().unwrap();
        let lower = "71c675ab-d94f-49cd-a114-e12490b328d9";
        assert_eq!(id.to_lower().as_str(), lower);
        assert_eq!(id.to_lower(), lower.parse().unwrap());
    }

    #[test]
    fn random_ids_parse() {
        let id = ImageId::random();
        assert_eq!(id.as_str().parse::<ImageId>(), Ok(id));
        assert_ne!(id, ImageId::random());
    }
}
