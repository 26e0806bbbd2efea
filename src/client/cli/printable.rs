//! Escapes text from a server before it is printed on a terminal, so that names and messages
//! cannot send control sequences or hide characters. All output except JSON passes through here.

use std::borrow::Cow;
use std::fmt::Write;

use crate::display::is_unsafe_to_display;

/// Escapes control characters, bidirectional marks and invisible characters: everything that a
/// terminal would execute or that would make the displayed text differ from the actual text.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe_to_display) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unsafe_to_display(character) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "{}", character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// Escapes like [`printable`] but keeps line ends, for messages of several lines.
pub(super) fn printable_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.lines().map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_control_and_bidirectional_characters() {
        assert_eq!(printable("München 日本"), "München 日本");
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("x\u{202e}gpj.exe\n"), "x\\u{202e}gpj.exe\\u{a}");
        assert_eq!(printable("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(printable_lines("a\nb\rc"), "a\nb\\u{d}c");
    }
}
