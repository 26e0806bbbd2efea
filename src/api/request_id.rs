//! Request ids: the value of `X-Openstack-Request-Id`, by which log lines and responses are
//! matched.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use uuid::Uuid;

/// The header of the id, in requests and responses.
pub(super) const REQUEST_ID: &str = "x-openstack-request-id";

/// The prefix of every id.
const PREFIX: &str = "req-";

/// The id of a request: `req-` and a UUID, as OpenStack's services write it, or the id that the
/// client sent. Cheap to clone.
#[derive(Clone)]
pub struct RequestId(Text);

#[derive(Clone)]
enum Text {
    Own([u8; 40]),
    Adopted(Rc<str>),
}

/// The id that the client sent exceeds the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl RequestId {
    /// Returns a new id. Ids must be unique but need not be secret: each thread draws one random
    /// number from the system and steps on from it, which saves a system call per request.
    pub fn new() -> Self {
        thread_local! {
            static LAST: Cell<u128> = Cell::new(Uuid::new_v4().as_u128());
        }
        // An odd step visits every 128-bit number before one repeats.
        let number = LAST
            .get()
            .wrapping_add(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        LAST.set(number);
        let uuid = uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid();
        let mut text = *b"req-                                    ";
        uuid.hyphenated().encode_lower(&mut text[4..]);
        Self(Text::Own(text))
    }

    /// Returns the id that the client sent, prefixed with `req-`. Without one, or if it is not one
    /// plain word, which would let a client forge fields of log lines, returns a new id.
    ///
    /// # Errors
    /// [`TooLong`] above `max_bytes` (Glance's `max_request_id_length`).
    pub(super) fn adopt(given: Option<&[u8]>, max_bytes: usize) -> Result<Self, TooLong> {
        let Some(given) = given.filter(|given| !given.is_empty()) else {
            return Ok(Self::new());
        };
        if given.len() > max_bytes {
            return Err(TooLong);
        }
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:/+=@".contains(byte);
        match std::str::from_utf8(given) {
            Ok(word) if given.iter().all(is_word) => {
                let name = word.strip_prefix(PREFIX).unwrap_or(word);
                Ok(Self(Text::Adopted(format!("{PREFIX}{name}").into())))
            }
            _ => Ok(Self::new()),
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // The array holds ASCII only, so the fallback is never used.
            Text::Own(text) => std::str::from_utf8(text).unwrap_or_default(),
            Text::Adopted(text) => text,
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adopted(given: &str) -> Option<String> {
        let id = RequestId::adopt(Some(given.as_bytes()), 64).ok()?;
        Some(id.to_string())
    }

    #[test]
    fn ids_of_clients_are_kept() {
        assert_eq!(adopted("req-a"), Some("req-a".to_owned()));
        assert_eq!(
            adopted("A_b:1/2+3=@.x"),
            Some("req-A_b:1/2+3=@.x".to_owned())
        );
        let longest = "x".repeat(64);
        assert_eq!(adopted(&longest), Some(format!("req-{longest}")));
        assert_eq!(adopted(&"x".repeat(65)), None);
    }

    #[test]
    fn missing_and_unsafe_ids_are_replaced() {
        for given in ["", "a b", "a\"b", "a\u{7f}", "ä", "a=b status=200"] {
            let id = adopted(given).unwrap();
            let uuid = id.strip_prefix("req-").unwrap();
            assert!(Uuid::parse_str(uuid).is_ok(), "{given:?}: {id}");
        }
        let own = || RequestId::adopt(None, 64).unwrap().to_string();
        assert_ne!(own(), own());
    }
}
