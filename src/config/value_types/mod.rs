//! The types of option values. Each parses the text of an option and describes the valid values.
//!
//! The sample file, the option reference and the errors use the same description, so they agree.

mod identity;
mod lists;
mod numbers;
#[cfg(test)]
mod tests;
mod text;
mod urls;

pub(crate) use identity::{CacheSeconds, FlavorParts, Networks};
pub(crate) use lists::{NumberList, WordList};
pub(crate) use numbers::{DAY_S, FileMode, Int, Limit, Seconds, SecondsOrOff, StorageQuota};
pub(crate) use text::{ContainerName, FilePath, Password, Text, Word, Words};
pub(crate) use urls::{Address, AuthAddress, Endpoint, HostUrl};

/// Parses the text of an option.
pub(crate) trait ValueType {
    /// Type of the field in the struct of options.
    type Value;
    /// Returns a description of valid values, which completes the sentence "expected ...".
    fn expected(&self) -> String;
    /// Parses the text; returns `None` if it is invalid.
    fn parse(&self, text: &str) -> Option<Self::Value>;
    /// Returns true if the text must never be printed.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A boolean in one of oslo's spellings.
pub(crate) struct Flag;

impl ValueType for Flag {
    type Value = bool;

    fn expected(&self) -> String {
        "true or false".into()
    }

    fn parse(&self, text: &str) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Some(true),
            "false" | "0" | "off" | "no" => Some(false),
            _ => None,
        }
    }
}

/// A value of another type, or `None` for an empty text.
pub(crate) struct Optional<K>(pub K);

impl<K: ValueType> ValueType for Optional<K> {
    type Value = Option<K::Value>;

    fn expected(&self) -> String {
        format!("{}, or nothing", self.0.expected())
    }

    fn parse(&self, text: &str) -> Option<Option<K::Value>> {
        if text.is_empty() {
            return Some(None);
        }
        self.0.parse(text).map(Some)
    }

    fn is_secret(&self) -> bool {
        self.0.is_secret()
    }
}

/// One of a fixed set of words.
pub(crate) struct Choice<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy> ValueType for Choice<T> {
    type Value = T;

    fn expected(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| *word).collect();
        match words.as_slice() {
            [only] => (*only).to_owned(),
            _ => format!("one of {}", words.join(", ")),
        }
    }

    fn parse(&self, text: &str) -> Option<T> {
        let found = self.0.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value)
    }
}
