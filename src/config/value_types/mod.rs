//! The types of option values. Each parses the text of an option and describes the valid values.
//!
//! The sample file, the option reference and the errors use the same description, so they agree.

mod identity;
mod lists;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::secret::Secret;
pub(crate) use identity::{CacheSeconds, FlavorParts, Networks};
pub(crate) use lists::{NumberList, WordList};

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

/// A whole number within limits, with a unit for its description.
pub(crate) struct Int<T> {
    min: u64,
    max: u64,
    unit: &'static str,
    value: PhantomData<T>,
}

impl<T> Int<T> {
    /// Accepts numbers from `min` to `max`, both included; `unit` may be empty.
    pub fn new(min: u64, max: u64, unit: &'static str) -> Self {
        Self {
            min,
            max,
            unit,
            value: PhantomData,
        }
    }
}

impl<T: TryFrom<u64>> ValueType for Int<T> {
    type Value = T;

    fn expected(&self) -> String {
        let of = if self.unit.is_empty() { "" } else { " of " };
        format!(
            "a whole number{of}{} from {} to {}",
            self.unit, self.min, self.max
        )
    }

    fn parse(&self, text: &str) -> Option<T> {
        // `from_str` would accept a plus sign.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: u64 = text.parse().ok()?;
        let in_range = (self.min..=self.max).contains(&number);
        in_range.then_some(number)?.try_into().ok()
    }
}

/// Largest value of most options in seconds: a day.
pub(crate) const DAY_S: u64 = 86_400;

/// A time in whole seconds.
pub(crate) struct Seconds {
    pub min: u64,
    pub max: u64,
}

impl ValueType for Seconds {
    type Value = Duration;

    fn expected(&self) -> String {
        Int::<u64>::new(self.min, self.max, "seconds").expected()
    }

    fn parse(&self, text: &str) -> Option<Duration> {
        let seconds = Int::new(self.min, self.max, "seconds").parse(text)?;
        Some(Duration::from_secs(seconds))
    }
}

/// A time in whole seconds, where 0 turns the limit off.
pub(crate) struct SecondsOrOff {
    pub max: u64,
}

impl ValueType for SecondsOrOff {
    type Value = Option<Duration>;

    fn expected(&self) -> String {
        format!("a whole number of seconds up to {}, 0 = none", self.max)
    }

    fn parse(&self, text: &str) -> Option<Option<Duration>> {
        let max = self.max;
        let time = Seconds { min: 0, max }.parse(text)?;
        Some(Some(time).filter(|time| !time.is_zero()))
    }
}

/// An IP address; an IPv6 address may have brackets.
pub(crate) struct Address;

impl ValueType for Address {
    type Value = IpAddr;

    fn expected(&self) -> String {
        "an IP address such as 127.0.0.1 or ::1".into()
    }

    fn parse(&self, text: &str) -> Option<IpAddr> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        bare.unwrap_or(text).parse().ok()
    }
}

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

/// File permissions in octal digits; 0 leaves them to the umask.
pub(crate) struct FileMode;

impl ValueType for FileMode {
    type Value = Option<u32>;

    fn expected(&self) -> String {
        "octal digits from 0400 to 0777 that let the owner read, 0 = as the umask says".into()
    }

    fn parse(&self, text: &str) -> Option<Option<u32>> {
        const OWNER_READS: u32 = 0o400;
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mode = u32::from_str_radix(digits, 8).ok()?;
        match mode {
            0 => Some(None),
            _ => (mode <= 0o777 && mode & OWNER_READS != 0).then_some(Some(mode)),
        }
    }
}

/// An upper limit; -1 (any negative number, as in Glance) turns it off.
pub(crate) struct Limit;

impl ValueType for Limit {
    type Value = Option<u64>;

    fn expected(&self) -> String {
        "a whole number, -1 = no limit".into()
    }

    fn parse(&self, text: &str) -> Option<Option<u64>> {
        match text.strip_prefix('-') {
            Some(digits) => {
                let below_zero = Int::<u64>::new(1, u64::MAX, "").parse(digits).is_some();
                below_zero.then_some(None)
            }
            None => Int::new(0, u64::MAX, "").parse(text).map(Some),
        }
    }
}

/// An upper limit in bytes; 0 turns it off.
pub(crate) struct StorageQuota;

impl ValueType for StorageQuota {
    type Value = Option<u64>;

    fn expected(&self) -> String {
        "a whole number of bytes or of KB, MB, GB or TB (powers of 1024) such as 500GB, 0 = no \
         limit"
            .into()
    }

    fn parse(&self, text: &str) -> Option<Option<u64>> {
        const UNITS: &[(&str, u32)] = &[("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("B", 0)];
        let of_unit = |(unit, shift): &(&str, u32)| Some((text.strip_suffix(unit)?, *shift));
        let (digits, shift) = UNITS.iter().find_map(of_unit).unwrap_or((text, 0));
        let number = Int::<u64>::new(0, u64::MAX >> shift, "").parse(digits)?;
        Some(Some(number << shift).filter(|bytes| *bytes > 0))
    }
}

/// The base of a URL, stored without a slash at its end.
pub(crate) struct Endpoint;

impl ValueType for Endpoint {
    type Value = String;

    fn expected(&self) -> String {
        "a URL such as https://images.example.org:9292, without user, query or fragment".into()
    }

    fn parse(&self, text: &str) -> Option<String> {
        let uri: http::Uri = text.parse().ok()?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri.host().is_some_and(|host| !host.is_empty());
        let bare = !text.contains(['@', '?', '#']);
        (web && host && bare).then(|| text.trim_end_matches('/').to_owned())
    }
}

/// A host, optionally preceded by a scheme; stored as a URL without a slash at its end.
pub(crate) struct HostUrl;

impl ValueType for HostUrl {
    type Value = String;

    fn expected(&self) -> String {
        "a host such as s3.example.org:9000, preceded by https:// for TLS".into()
    }

    fn parse(&self, text: &str) -> Option<String> {
        match text.contains("://") {
            true => Endpoint.parse(text),
            false => Endpoint.parse(&format!("http://{text}")),
        }
    }
}

/// The URL of an authentication service. Without a scheme it is https, as in Glance.
pub(crate) struct AuthAddress;

impl ValueType for AuthAddress {
    type Value = String;

    fn expected(&self) -> String {
        "a URL such as https://keystone.example.org:5000/v3, without user, query or fragment".into()
    }

    fn parse(&self, text: &str) -> Option<String> {
        if text.contains("://") {
            return Endpoint.parse(text);
        }
        Endpoint.parse(&format!("https://{text}"))
    }
}
