//! Reads policy files: YAML, of which JSON is a subset.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::DuplicateKeyPolicy;

use super::check::Check;
use super::grammar::{Finder, Problem, one_or, parse, parse_check};

/// The rules of a file by name.
pub(super) type RuleTexts = BTreeMap<String, RuleText>;

/// A rule in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum RuleText {
    /// In the rule language (`grammar`).
    Text(String),
    /// In the list form of early releases: one of the alternatives must hold.
    List(Vec<Option<Alternative>>),
    /// `null`, which oslo.policy treats as a rule that always holds.
    Null(()),
}

/// An alternative of the list form.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Alternative {
    Check(String),
    /// All of these must hold.
    Checks(Vec<String>),
}

impl RuleText {
    /// Parses the rule.
    ///
    /// # Errors
    /// The syntax error or the unsupported part.
    pub(super) fn parse(&self, find: &Finder<'_>) -> Result<Check, Problem> {
        match self {
            RuleText::Text(text) => parse(text, find),
            RuleText::Null(()) => Ok(Check::Always),
            RuleText::List(alternatives) if alternatives.is_empty() => Ok(Check::Always),
            RuleText::List(alternatives) => {
                let mut checks = Vec::new();
                for alternative in alternatives.iter().flatten() {
                    let words = match alternative {
                        Alternative::Check(check) if check.is_empty() => &[],
                        Alternative::Check(check) => std::slice::from_ref(check),
                        Alternative::Checks(checks) => checks.as_slice(),
                    };
                    let all = words.iter().map(|word| parse_check(word, find));
                    let all: Vec<Check> = all.collect::<Result<_, _>>()?;
                    // As in oslo.policy, an empty alternative does not count.
                    if !all.is_empty() {
                        checks.push(one_or(all, Check::All));
                    }
                }
                Ok(match checks.is_empty() {
                    true => Check::Never,
                    false => one_or(checks, Check::Any),
                })
            }
        }
    }
}

/// Parses a file. An empty file has no rules. Of rules with the same name the last one counts, as in
/// Python.
///
/// # Errors
/// The syntax error, with the line.
pub(super) fn read(text: &str) -> Result<RuleTexts, Problem> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let rules: Result<Option<RuleTexts>, _> = serde_saphyr::from_str_with_options(text, options);
    rules.map(Option::unwrap_or_default).map_err(|error| {
        format!(
            "is not JSON or YAML with a text for each rule: {}",
            error.without_snippet()
        )
    })
}
