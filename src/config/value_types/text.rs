//! Value types of texts: paths, words, names and passwords.

use std::path::PathBuf;

use super::ValueType;
use crate::config::secret::Secret;

/// The path of a file or folder.
pub(crate) struct FilePath;

impl ValueType for FilePath {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "a path".into()
    }

    fn parse(&self, text: &str) -> Option<PathBuf> {
        let sound = !text.is_empty() && !text.contains(['\0', '\n']);
        sound.then(|| PathBuf::from(text))
    }
}

/// Any text.
pub(crate) struct Text;

impl ValueType for Text {
    type Value = String;

    fn expected(&self) -> String {
        "text".into()
    }

    fn parse(&self, text: &str) -> Option<String> {
        Some(text.to_owned())
    }
}

/// A word of characters that need no quoting in URLs and file names.
pub(crate) struct Word;

impl ValueType for Word {
    type Value = String;

    fn expected(&self) -> String {
        "a word of letters, digits and _ - . ~".into()
    }

    fn parse(&self, text: &str) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~".contains(&byte);
        let sound = !text.is_empty() && !matches!(text, "." | "..") && text.bytes().all(plain);
        sound.then(|| text.to_owned())
    }
}

/// The name of a Swift container.
pub(crate) struct ContainerName;

impl ValueType for ContainerName {
    type Value = String;

    fn expected(&self) -> String {
        "a name of at most 200 bytes without / ? #".into()
    }

    fn parse(&self, text: &str) -> Option<String> {
        // Swift allows 256 bytes; the suffix of multiple containers needs some of them.
        let fits = !text.is_empty() && text.len() <= 200 && !matches!(text, "." | "..");
        let plain = !text.contains(|c: char| c.is_control() || "/?#".contains(c));
        (fits && plain).then(|| text.to_owned())
    }
}

/// A secret text, which may be empty.
pub(crate) struct Password;

impl ValueType for Password {
    type Value = Secret;

    fn expected(&self) -> String {
        "text, where a plain dollar sign is $$, or nothing".into()
    }

    fn parse(&self, text: &str) -> Option<Secret> {
        Some(Secret::new(text))
    }

    fn is_secret(&self) -> bool {
        true
    }
}

/// A list of at least one word, separated by commas; repeated words count once.
pub(crate) struct Words;

impl ValueType for Words {
    type Value = Vec<String>;

    fn expected(&self) -> String {
        "a list of words, separated by commas".into()
    }

    fn parse(&self, text: &str) -> Option<Vec<String>> {
        let mut words: Vec<String> = Vec::new();
        for word in text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            if !word.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        (!words.is_empty()).then_some(words)
    }
}
