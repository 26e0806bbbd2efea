//! Checks the English of comments and error texts for openings and words that made this code
//! base hard to read.
//!
//! The lists are short on purpose: they guard against relapse and replace no review. Each entry
//! names a form that had to be rewritten many times.

use std::path::Path;
use std::{fs, io};

/// Words with which no sentence of a comment begins. "What" and "Who" open relative clauses
/// without a subject; the others hide the component that acts.
const BANNED_OPENINGS: &[&str] = &[
    "What ",
    "Whatever ",
    "Who ",
    "Whoever ",
    "Whose ",
    "Nobody ",
    "Somebody ",
    "Everybody ",
    "Anybody ",
    "Told ",
    "Asked ",
];

/// Words and phrases that stand for mechanisms with a standard name, which follows.
const BANNED_WORDS: &[(&str, &str)] = &[
    ("somebody", "the component that acts"),
    ("nobody", "no client, no caller, no task"),
    ("whoever", "the caller, the client"),
    ("anew", "again"),
    ("housekeeper", "cleaner"),
    ("vigil", "heartbeat"),
    ("parcel", "block"),
    ("boarding", "registration of a reader"),
    ("sign of life", "heartbeat"),
    ("signs of life", "heartbeats"),
    ("room by room", "folder by folder"),
    ("short road", "fast path"),
    ("at hand", "cached, available"),
];

/// A text that a reader or an operator sees.
pub struct Finding {
    pub file: String,
    pub line: usize,
    pub why: String,
}

/// Returns the violations in the Rust files below `folder`, in the order of their paths.
///
/// # Errors
/// When a folder or file cannot be read.
pub fn violations(folder: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            findings.extend(violations(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            for (line, why) in violations_in(&text) {
                let file = path.display().to_string();
                findings.push(Finding { file, line, why });
            }
        }
    }
    Ok(findings)
}

/// Returns the violations in one file: the number of the line, and the reason.
pub fn violations_in(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut previous = String::new();
    for (number, line) in (1..).zip(source.lines()) {
        let text = comment(line).map(str::to_owned);
        if let Some(text) = &text {
            let starts = starts_sentence(&previous);
            found.extend(openings(text, starts).map(|why| (number, why)));
        }
        let words = text.clone().or_else(|| error_text(line).map(str::to_owned));
        if let Some(words) = &words {
            found.extend(banned_words(words).map(|why| (number, why)));
        }
        previous = text.unwrap_or_default();
    }
    found
}

/// Returns the text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = ["//!", "///", "//"]
        .iter()
        .find_map(|mark| line.strip_prefix(mark))?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}

/// Returns the text of a line that declares or logs an error.
fn error_text(line: &str) -> Option<&str> {
    let marks = [
        "#[error(\"",
        "error!(\"",
        "warn!(\"",
        "bail!(\"",
        "Error::new(",
    ];
    let begin = marks.iter().find_map(|mark| line.find(mark))?;
    let text = &line[begin..];
    text.split_once('"').map(|(_, text)| text)
}

/// Whether a comment line after `previous` begins a sentence: the one before is empty or ends one.
fn starts_sentence(previous: &str) -> bool {
    let end = previous.trim_end();
    end.is_empty() || end.ends_with(['.', ':', '!', '?', '|', '`'])
}

fn openings(text: &str, starts: bool) -> impl Iterator<Item = String> {
    // List markers precede the sentence.
    let text = text.trim_start_matches(['*', '-', ' ']);
    let opens = |sentence: &str| {
        BANNED_OPENINGS
            .iter()
            .find(|opening| sentence.starts_with(**opening))
    };
    let first = if starts { opens(text) } else { None };
    let later = text
        .match_indices(". ")
        .filter_map(move |(at, _)| opens(&text[at + 2..]));
    let all: Vec<String> = first
        .into_iter()
        .chain(later)
        .map(|opening| format!("a sentence begins with {opening:?}; name its subject"))
        .collect();
    all.into_iter()
}

fn banned_words(text: &str) -> impl Iterator<Item = String> {
    let text = text.to_lowercase();
    BANNED_WORDS
        .iter()
        .filter(move |(word, _)| contains_word(&text, word))
        .map(|(word, better)| format!("{word:?}: say {better}"))
}

/// Whether `word` occurs as a word of its own, or in the plural.
fn contains_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..]
            .trim_start_matches('s')
            .chars()
            .next();
        let ends =
            |sign: Option<char>| sign.is_none_or(|sign| !sign.is_alphanumeric() && sign != '_');
        ends(before) && ends(after)
    })
}
