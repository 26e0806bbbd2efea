//! Small versioned documents: the second kind of record, beside images.
//!
//! A document has a kind, an identifier that is unique within its kind, an optional owner and a
//! body that the registry does not interpret. Every driver stores documents with the same
//! guarantees as images: a write is a compare-and-swap on the version, and an acknowledged write
//! survives a power cut.
//!
//! A version is never used twice within a registry, not even after the document was deleted and
//! created again. So a writer that holds an old version can never overwrite a newer document.

mod codec;
mod map;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(super) use self::codec::{decode, encode};
pub(super) use self::map::DocumentMap;
use super::Version;
use crate::error::{Error, Kind, Result};
use crate::image::Timestamp;

/// Largest body of a document, in bytes. An encoded document, with the body in Base64, then has
/// less than [`MAX_RECORD_BYTES`](super::MAX_RECORD_BYTES) bytes.
pub const MAX_DOCUMENT_BODY_BYTES: usize = 40 * 1024;

const MAX_KIND_BYTES: usize = 32;
const MAX_ID_BYTES: usize = 128;
const MAX_OWNER_BYTES: usize = 255;

/// The address of a document: its kind and its identifier within the kind.
///
/// A kind is a word of lower-case letters, digits and underscores that begins with a letter. An
/// identifier is any text of at most 128 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "UncheckedKey")]
pub struct DocumentKey {
    kind: String,
    id: String,
}

#[derive(Deserialize)]
struct UncheckedKey {
    kind: String,
    id: String,
}

/// A document as one write left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The document's address.
    pub key: DocumentKey,
    /// The project that owns the document, if any.
    pub owner: Option<String>,
    /// The number of the write. Assigned by the registry, greater than that of every earlier
    /// write of a document.
    pub version: Version,
    /// Time of the last write, set by the writer.
    pub updated_at: Timestamp,
    /// The content, at most [`MAX_DOCUMENT_BODY_BYTES`].
    #[serde(with = "base64_body")]
    pub body: Vec<u8>,
}

/// One page of documents, in the order of kind and identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentQuery {
    /// Only documents of this kind; `None` for all kinds.
    pub kind: Option<String>,
    /// Only documents of this owner; `None` for documents of every owner and of none.
    pub owner: Option<String>,
    /// The last document of the previous page. It need not exist any more.
    pub after: Option<DocumentKey>,
    /// Maximum number of documents on the page.
    pub limit: usize,
}

impl DocumentKey {
    /// Returns the address of a document.
    ///
    /// # Errors
    /// `Invalid` if the kind or the identifier is malformed.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Result<Self> {
        Self::checked(kind.into(), id.into())
            .map_err(|reason| Error::new(Kind::Invalid, format!("Invalid document key: {reason}.")))
    }

    fn checked(kind: String, id: String) -> std::result::Result<Self, &'static str> {
        let is_word = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let begins_with_letter = kind.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if !begins_with_letter || !kind.bytes().all(is_word) || kind.len() > MAX_KIND_BYTES {
            return Err("the kind is not a word of at most 32 lower-case letters");
        }
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
            return Err("the identifier is empty, longer than 128 bytes or has control characters");
        }
        Ok(Self { kind, id })
    }

    /// The key under which a registry on disk stores the last version that it has assigned.
    /// [`DocumentKey::new`] accepts no kind that begins with an underscore.
    pub(super) fn sequence() -> Self {
        Self {
            kind: "_sequence".to_owned(),
            id: "last".to_owned(),
        }
    }

    /// The kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The identifier within the kind.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Parses the form that [`fmt::Display`] writes: `kind/id`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once('/')?;
        let sequence = Self::sequence();
        if (kind, id) == (sequence.kind(), sequence.id()) {
            return Some(sequence);
        }
        Self::checked(kind.to_owned(), id.to_owned()).ok()
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl TryFrom<UncheckedKey> for DocumentKey {
    type Error = &'static str;

    fn try_from(key: UncheckedKey) -> std::result::Result<Self, Self::Error> {
        Self::checked(key.kind, key.id)
    }
}

impl Document {
    /// Returns a document that was not written yet.
    pub fn new(key: DocumentKey, updated_at: Timestamp, body: impl Into<Vec<u8>>) -> Self {
        Self {
            key,
            owner: None,
            version: 0,
            updated_at,
            body: body.into(),
        }
    }

    /// Checks the sizes that every driver enforces.
    ///
    /// # Errors
    /// `TooLarge` with the bound that is exceeded.
    pub(super) fn check_size(&self) -> Result<()> {
        let exceeds = if self.body.len() > MAX_DOCUMENT_BODY_BYTES {
            Some(("body", MAX_DOCUMENT_BODY_BYTES))
        } else if self
            .owner
            .as_ref()
            .is_some_and(|owner| owner.len() > MAX_OWNER_BYTES)
        {
            Some(("owner", MAX_OWNER_BYTES))
        } else {
            None
        };
        match exceeds {
            None => Ok(()),
            Some((field, bytes)) => Err(Error::new(
                Kind::TooLarge,
                format!(
                    "The {field} of document {} has more than {bytes} bytes.",
                    self.key
                ),
            )),
        }
    }
}

impl DocumentQuery {
    /// Returns the query for the first page of all documents.
    pub fn everything(limit: usize) -> Self {
        Self {
            kind: None,
            owner: None,
            after: None,
            limit,
        }
    }
}

/// Bytes as a Base64 text: JSON has no bytes.
mod base64_body {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(body: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(body))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64_STANDARD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        for (kind, id) in [("task", "7"), ("metadef_object", "OS::Compute/ü x")] {
            let key = DocumentKey::new(kind, id).unwrap();
            assert_eq!(DocumentKey::parse(&key.to_string()), Some(key));
        }
        let long = "x".repeat(129);
        for (kind, id) in [
            ("", "7"),
            ("Task", "7"),
            ("_sequence", "last"),
            ("7", "7"),
            ("a/b", "7"),
            ("task", ""),
            ("task", "a\nb"),
            ("task", long.as_str()),
        ] {
            let refused = DocumentKey::new(kind, id).unwrap_err();
            assert_eq!(refused.kind(), Kind::Invalid, "{kind} {id}");
            let json = serde_json::json!({ "kind": kind, "id": id });
            assert!(serde_json::from_value::<DocumentKey>(json).is_err());
        }
    }
}
