//! Text from a server, made safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

use crate::display::is_unsafe_to_display;

/// The text with everything escaped that a terminal would act on or that would make it show
/// other text than there is: control characters, directions, invisible marks.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe_to_display) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unsafe_to_display(character) {
            // Writing into a string cannot fail.
            let _ = write!(safe, "{}", character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// [`printable`], but line ends stay: for messages of several lines.
pub(super) fn printable_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.lines().map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_terminal_would_act_on() {
        assert_eq!(printable("München 日本"), "München 日本");
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("x\u{202e}gpj.exe\n"), "x\\u{202e}gpj.exe\\u{a}");
        assert_eq!(printable("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(printable_lines("a\nb\rc"), "a\nb\\u{d}c");
    }
}
