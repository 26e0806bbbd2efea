//! Visibility of an image: the callers beside its owner that may use it.

use serde::{Deserialize, Serialize};

/// The callers beside the owner that may use an image, as in Glance's v2 API.
///
/// v1 knows `is_public` alone, which [`Visibility::is_public`] and
/// [`Visibility::with_is_public`] map to and from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Every caller; the image is in everyone's lists.
    Public,
    /// The owner alone.
    Private,
    /// The owner and the image's members. The default, as in Glance: an image without members
    /// is as closed as a private one, and becomes open by adding members.
    #[default]
    Shared,
    /// Every caller that names the image; it is in no other project's lists.
    Community,
}

impl Visibility {
    /// Every value, in the order of declaration.
    pub const ALL: [Visibility; 4] = [
        Visibility::Public,
        Visibility::Private,
        Visibility::Shared,
        Visibility::Community,
    ];

    /// Returns the word that v2 clients, policies and records use.
    pub fn as_str(self) -> &'static str {
        match self {
            Visibility::Public => "public",
            Visibility::Private => "private",
            Visibility::Shared => "shared",
            Visibility::Community => "community",
        }
    }

    /// Returns the visibility of a word, compared with case.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == word)
    }

    /// Returns the value of v1's `is_public`.
    pub fn is_public(self) -> bool {
        self == Visibility::Public
    }

    /// Returns the visibility after a v1 request has set `is_public`. `false` takes only a
    /// public image back to the default: v1 cannot tell the other three apart, so a request
    /// that repeats the `false` it was shown must not change them.
    pub fn with_is_public(self, is_public: bool) -> Self {
        match (is_public, self) {
            (true, _) => Visibility::Public,
            (false, Visibility::Public) => Visibility::Shared,
            (false, other) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for visibility in Visibility::ALL {
            let word = visibility.as_str();
            assert_eq!(Visibility::from_word(word), Some(visibility));
            let json = serde_json::to_string(&visibility).unwrap();
            assert_eq!(json, format!("\"{word}\""));
        }
        assert_eq!(Visibility::from_word("Public"), None);
    }

    #[test]
    fn is_public_false_keeps_other_visibilities() {
        for visibility in Visibility::ALL {
            assert_eq!(visibility.with_is_public(true), Visibility::Public);
            let closed = visibility.with_is_public(false);
            match visibility {
                Visibility::Public => assert_eq!(closed, Visibility::Shared),
                other => assert_eq!(closed, other),
            }
            assert!(!closed.is_public());
        }
    }
}
