//! Lists that may be empty, in oslo's notation: `[http, 'https']`, or without brackets and quotes.

use super::{Int, ValueType};

/// A list of words, converted to lower case.
pub(crate) struct WordList;

impl ValueType for WordList {
    type Value = Vec<String>;

    fn expected(&self) -> String {
        "a list of words, separated by commas, or nothing".into()
    }

    fn parse(&self, text: &str) -> Option<Vec<String>> {
        let word = |item: &str| {
            let sound = item.bytes().all(|byte| byte.is_ascii_graphic());
            sound.then(|| item.to_ascii_lowercase())
        };
        items(text).map(word).collect()
    }
}

/// A list of whole numbers within limits.
pub(crate) struct NumberList<T> {
    min: u64,
    max: u64,
    number: Int<T>,
}

impl<T> NumberList<T> {
    /// Accepts numbers from `min` to `max`, both included.
    pub fn new(min: u64, max: u64) -> Self {
        let number = Int::new(min, max, "");
        Self { min, max, number }
    }
}

impl<T: TryFrom<u64>> ValueType for NumberList<T> {
    type Value = Vec<T>;

    fn expected(&self) -> String {
        let (min, max) = (self.min, self.max);
        format!("a list of whole numbers from {min} to {max} separated by commas, or nothing")
    }

    fn parse(&self, text: &str) -> Option<Vec<T>> {
        items(text).map(|item| self.number.parse(item)).collect()
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    let bare = between(text, '[', ']').unwrap_or(text);
    let items = bare.split(',').map(|item| {
        let item = item.trim();
        let unquoted = between(item, '"', '"').or_else(|| between(item, '\'', '\''));
        unquoted.unwrap_or(item)
    });
    items.filter(|item| !item.is_empty())
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}
