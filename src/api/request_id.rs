//! The name of a request in logs and responses.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use uuid::Uuid;

/// The header that has it, in requests and responses.
pub(super) const REQUEST_ID: &str = "x-openstack-request-id";

/// Every name begins with this.
const PREFIX: &str = "req-";

/// The name of a request: `req-` and a UUID, as OpenStack's services write it, or the name that
/// the client gave it. Cheap to clone.
#[derive(Clone)]
pub struct RequestId(Text);

#[derive(Clone)]
enum Text {
    Own([u8; 40]),
    Adopted(Rc<str>),
}

/// A client's name for its request is longer than it may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl RequestId {
    /// A new one. Names must differ, not be secret: each thread draws one random number from
    /// the system and steps on from it, which spares a system call a request.
    pub fn new() -> Self {
        thread_local! {
            static LAST: Cell<u128> = Cell::new(Uuid::new_v4().as_u128());
        }
        // An odd step visits every number before it comes back.
        let number = LAST
            .get()
            .wrapping_add(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        LAST.set(number);
        let uuid = uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid();
        let mut text = *b"req-                                    ";
        uuid.hyphenated().encode_lower(&mut text[4..]);
        Self(Text::Own(text))
    }

    /// The name that the client gave the request, with `req-` in front (Glance's
    /// `max_request_id_length`). A new one without such a name, or for one that could not stand
    /// in a log line as one word.
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

    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Only ASCII is ever put in.
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
    fn names_of_clients_are_kept() {
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
    fn other_requests_get_names_of_their_own() {
        for given in ["", "a b", "a\"b", "a\u{7f}", "ä", "a=b status=200"] {
            let id = adopted(given).unwrap();
            let uuid = id.strip_prefix("req-").unwrap();
            assert!(Uuid::parse_str(uuid).is_ok(), "{given:?}: {id}");
        }
        let own = || RequestId::adopt(None, 64).unwrap().to_string();
        assert_ne!(own(), own());
    }
}
