//! The values of one file: finds the entry of an option, resolves `$name` references, and collects
//! problems and warnings.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::config::declare::{OptionGroup, OptionKey};
use crate::config::error::{ConfigError, FilePosition, Warning};
use crate::config::ini::{DEFAULT, Entry, Ini};
use crate::config::value_types::ValueType;

/// Longest chain of references from one option to another. A longer one is taken for a cycle.
const MAX_REFERENCES: usize = 8;

/// Entry for the Swift accounts in the set of invalid options. No option has this name.
const ACCOUNTS: &str = "(accounts)";

/// The entries of a file, the declared options, and the problems found so far.
pub(crate) struct Values<'a> {
    file: &'a str,
    ini: &'a Ini,
    groups: &'a [OptionGroup],
    problems: RefCell<Vec<ConfigError>>,
    /// Problems of defaults. They are caused by invalid options to which the defaults refer, so
    /// they are reported only if there are no other problems.
    derived: RefCell<Vec<ConfigError>>,
    warnings: RefCell<Vec<Warning>>,
    /// Names of options that have their defaults because their values are invalid.
    invalid: RefCell<HashSet<&'static str>>,
}

impl<'a> Values<'a> {
    pub fn new(file: &'a str, ini: &'a Ini, groups: &'a [OptionGroup]) -> Self {
        Self {
            file,
            ini,
            groups,
            problems: RefCell::default(),
            derived: RefCell::default(),
            warnings: RefCell::default(),
            invalid: RefCell::default(),
        }
    }

    /// Records a problem that prevents a start. Reading continues, so that all problems are
    /// reported.
    pub fn report(&self, problem: ConfigError) {
        self.problems.borrow_mut().push(problem);
    }

    /// Records a warning about a line of this file.
    pub fn warn(&self, line: usize, message: String) {
        let position = self.position(line);
        self.warnings
            .borrow_mut()
            .push(Warning { position, message });
    }

    /// Records a warning about another file.
    pub fn warn_at(&self, warning: Warning) {
        self.warnings.borrow_mut().push(warning);
    }

    /// Returns true if none of these options has an invalid value. Rules between options are
    /// skipped otherwise, because a default in place of an invalid value says nothing about the
    /// file.
    pub fn are_valid(&self, names: &[&str]) -> bool {
        let invalid = self.invalid.borrow();
        !names.iter().any(|name| invalid.contains(name))
    }

    /// Records a problem of the Swift accounts, so that a missing account is not reported in
    /// addition.
    pub fn report_account(&self, problem: ConfigError) {
        self.invalid.borrow_mut().insert(ACCOUNTS);
        self.report(problem);
    }

    /// Returns true if the Swift accounts could not be read.
    pub fn has_invalid_accounts(&self) -> bool {
        !self.are_valid(&[ACCOUNTS])
    }

    /// Returns the recorded problems in the order of their lines, and the warnings.
    pub fn findings(&self) -> (Vec<ConfigError>, Vec<Warning>) {
        // Problems of defaults follow from other problems and would only distract from them.
        let mut problems = self.problems.take();
        if problems.is_empty() {
            problems = self.derived.take();
        }
        // Problems of other files follow those of this one.
        problems.sort_by_key(|problem| match problem.position() {
            Some(position) => (position.file != self.file, position.line),
            None => (false, 0),
        });
        (problems, self.warnings.take())
    }

    /// Returns the parsed file. Of several entries of a key, the last one is in effect.
    pub fn ini(&self) -> &'a Ini {
        self.ini
    }

    /// Returns the position of a line of this file.
    pub fn position(&self, line: usize) -> FilePosition {
        FilePosition {
            file: self.file.to_owned(),
            line,
        }
    }

    /// Returns the entry that sets an option; `None` if the file does not set it.
    pub fn find(&self, key: &OptionKey) -> Option<&'a Entry> {
        key.spellings()
            .find_map(|(section, name)| self.entry(section, name))
    }

    /// Returns the last entry of exactly this name.
    pub fn entry(&self, section: &str, name: &str) -> Option<&'a Entry> {
        self.ini.last(section, name)
    }

    /// Returns the declared option that reads this name.
    pub fn declared(&self, section: &str, name: &str) -> Option<OptionKey> {
        let mut options = self.groups.iter().flat_map(|group| &group.options);
        options
            .find(|option| {
                option
                    .key
                    .spellings()
                    .any(|spelling| spelling == (section, name))
            })
            .map(|option| option.key)
    }

    /// Returns the value of an option from the file, else its default. Records an invalid value and
    /// returns the default in its place.
    ///
    /// # Errors
    /// Returns [`ConfigError::BadValue`] if the default cannot be read either.
    pub fn read<K: ValueType>(&self, key: &OptionKey, kind: &K) -> Result<K::Value, ConfigError> {
        let problem = match self.try_read(key, kind) {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        };
        // An invalid default is only reported if nothing else is: its cause is another option.
        let of_default = self.find(key).is_none();
        let noted = if of_default {
            &self.derived
        } else {
            &self.problems
        };
        noted.borrow_mut().push(problem);
        self.invalid.borrow_mut().insert(key.name);
        // Read the default as if the file were empty, so that a component has a usable value and
        // the remaining options can be checked.
        let no_entries = Ini::default();
        Values::new(self.file, &no_entries, self.groups).try_read(key, kind)
    }

    fn try_read<K: ValueType>(&self, key: &OptionKey, kind: &K) -> Result<K::Value, ConfigError> {
        let entry = self.find(key);
        let raw = entry.map_or(key.default, |entry| entry.value.as_str());
        let bad = |given: &str, expected: String| ConfigError::BadValue {
            // A default has no line. It can be invalid only through an option to which it refers.
            position: self.position(entry.map_or(0, |entry| entry.line)),
            option: entry.map_or_else(|| key.to_string(), Entry::to_string),
            given: if kind.is_secret() { "***" } else { given }.to_owned(),
            expected: if kind.is_secret() {
                kind.expected()
            } else {
                expected
            },
        };
        let text = self
            .substitute(raw, key.section, 0)
            .map_err(|expected| bad(raw, expected))?;
        kind.parse(&text).ok_or_else(|| bad(&text, kind.expected()))
    }

    /// Replaces `$name`, `${name}` and `${section.name}` by values; `$$` and `\$` are a dollar
    /// sign. Names are looked up in the same section, then in DEFAULT.
    ///
    /// # Errors
    /// Returns a description of what was expected.
    fn substitute(&self, text: &str, section: &str, depth: usize) -> Result<String, String> {
        if depth > MAX_REFERENCES {
            return Err("no option that refers to itself".into());
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, after) = (&rest[..at], &rest[at + 1..]);
            // oslo accepts `\$` as well as `$$`.
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
            let (name, after) = split_reference(after)
                .ok_or("$name or ${name} with the name of an option; a plain dollar sign is $$")?;
            let (own_section, value) = self.resolve_reference(section, name).ok_or_else(|| {
                format!(
                    "the name of an option after $ ({name:?} is none; a plain dollar sign is $$)"
                )
            })?;
            // References in the found value are resolved in the section where it stands.
            out.push_str(&self.substitute(value, &own_section, depth + 1)?);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Returns the section in which a name was found, and its text before substitution.
    fn resolve_reference(&self, section: &str, name: &str) -> Option<(String, &'a str)> {
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

/// Splits the name of a reference from the text after it. The dollar sign is already removed.
fn split_reference(text: &str) -> Option<(&str, &str)> {
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
