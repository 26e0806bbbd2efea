//! The values of one file: where an option is found, and what `$name` stands for.

use crate::config::declare::{Group, Key};
use crate::config::error::{ConfigError, Place};
use crate::config::ini::{DEFAULT, Entry, Ini};
use crate::config::kinds::Kind;

/// How deep one option may refer to another that refers to another; past it there is a circle.
const MAX_REFERENCES: usize = 8;

/// The entries of a file beside the options that are declared.
pub(crate) struct Values<'a> {
    file: &'a str,
    ini: &'a Ini,
    groups: &'a [Group],
}

impl<'a> Values<'a> {
    pub fn new(file: &'a str, ini: &'a Ini, groups: &'a [Group]) -> Self {
        Self { file, ini, groups }
    }

    /// The file, in the order in which later entries win.
    pub fn ini(&self) -> &'a Ini {
        self.ini
    }

    /// The place of a line of this file.
    pub fn place(&self, line: usize) -> Place {
        Place {
            file: self.file.to_owned(),
            line,
        }
    }

    /// The entry that gives an option its value; `None` when the file does not set it.
    pub fn find(&self, key: &Key) -> Option<&'a Entry> {
        key.places()
            .find_map(|(section, name)| self.entry(section, name))
    }

    /// The last entry of that very name.
    pub fn entry(&self, section: &str, name: &str) -> Option<&'a Entry> {
        self.ini.last(section, name)
    }

    /// The declared option that reads a place.
    pub fn declared(&self, section: &str, name: &str) -> Option<Key> {
        let mut options = self.groups.iter().flat_map(|group| &group.options);
        options
            .find(|option| option.key.places().any(|place| place == (section, name)))
            .map(|option| option.key)
    }

    /// The value of an option: from the file, else its default.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] with the line of the file.
    pub fn read<K: Kind>(&self, key: &Key, kind: &K) -> Result<K::Value, ConfigError> {
        let entry = self.find(key);
        let raw = entry.map_or(key.default, |entry| entry.value.as_str());
        let bad = |given: &str, wanted: String| ConfigError::BadValue {
            // A default has no line: it can only be wrong through an option it refers to.
            place: self.place(entry.map_or(0, |entry| entry.line)),
            option: entry.map_or_else(|| key.to_string(), Entry::to_string),
            given: if kind.is_secret() { "***" } else { given }.to_owned(),
            wanted: if kind.is_secret() {
                kind.wanted()
            } else {
                wanted
            },
        };
        let text = self
            .substitute(raw, key.section, 0)
            .map_err(|wanted| bad(raw, wanted))?;
        kind.parse(&text).ok_or_else(|| bad(&text, kind.wanted()))
    }

    /// Puts values where `$name`, `${name}` and `${section.name}` stand; `$$` and `\$` are a dollar sign.
    /// Names are looked up in the same section, then in DEFAULT.
    ///
    /// The error says what was wanted instead.
    fn substitute(&self, text: &str, section: &str, depth: usize) -> Result<String, String> {
        if depth > MAX_REFERENCES {
            return Err("no option that refers to itself".into());
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            if let Some(before) = before.strip_suffix('\\') {
                out.push_str(before);
                out.push('$');
                rest = after;
                continue;
            }
            out.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let (name, after) = reference(after)
                .ok_or("$name or ${name} with the name of an option; a plain dollar sign is $$")?;
            let (home, value) = self.refer(section, name).ok_or_else(|| {
                format!(
                    "the name of an option after $ ({name:?} is none; a plain dollar sign is $$)"
                )
            })?;
            out.push_str(&self.substitute(value, &home, depth + 1)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// What a name refers to: the section it was found in and the raw text there.
    fn refer(&self, section: &str, name: &str) -> Option<(String, &'a str)> {
        let (sections, name): (&[&str], &str) = match name.split_once('.') {
            Some((section, name)) => (&[section], name),
            None => (&[section, DEFAULT], name),
        };
        sections.iter().find_map(|section| {
            if let Some(key) = self.declared(section, name) {
                let raw = self.find(&key).map_or(key.default, |entry| &entry.value);
                return Some((key.section.to_owned(), raw));
            }
            let entry = self.entry(section, name)?;
            Some((entry.section.clone(), entry.value.as_str()))
        })
    }
}

/// Splits the name of a reference from the text behind it; the dollar sign is already gone.
fn reference(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        let (name, after) = braced.split_once('}')?;
        return is_name(name).then_some((name, after));
    }
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    is_name(name).then_some((name, after))
}

fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}
