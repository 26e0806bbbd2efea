//! Escapes text in log lines, so that an event stays on one line: text from a client cannot start a
//! line, move the cursor of a terminal, or change the direction of writing.

use std::fmt::{self, Write};

use crate::display::is_unsafe_to_display;

/// A writer that escapes unsafe characters in Python's notation (`\n`, `\x1b`, `\u202e`).
pub(super) struct EscapingWriter<'a>(pub &'a mut String);

impl Write for EscapingWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Most text is printable ASCII, which needs no escaping.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.0.push_str(text);
            return Ok(());
        }
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe_to_display(*c)) {
            self.0.push_str(&rest[..at]);
            escape(self.0, c)?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.push_str(rest);
        Ok(())
    }
}

/// Appends the value of a `key=`, in quotes if it could be read as several values.
pub(super) fn push_value(out: &mut String, value: &str) {
    let splits = |c: char| c.is_whitespace() || matches!(c, '"' | '=' | '\\');
    // Writing to a String cannot fail.
    if !value.is_empty() && !value.contains(splits) {
        let _ = EscapingWriter(out).write_str(value);
        return;
    }
    out.push('"');
    for piece in value.split_inclusive(['"', '\\']) {
        let end = piece.strip_suffix(['"', '\\']).unwrap_or(piece);
        let _ = EscapingWriter(out).write_str(end);
        if end.len() < piece.len() {
            out.push('\\');
            out.push_str(&piece[end.len()..]);
        }
    }
    out.push('"');
}

fn escape(out: &mut String, c: char) -> fmt::Result {
    match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        _ => match u32::from(c) {
            code @ ..0x100 => write!(out, "\\x{code:02x}"),
            code @ ..0x1_0000 => write!(out, "\\u{code:04x}"),
            code => write!(out, "\\U{code:08x}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        EscapingWriter(&mut out)
            .write_str(text)
            .expect("a String takes all");
        out
    }

    fn value(text: &str) -> String {
        let mut out = String::new();
        push_value(&mut out, text);
        out
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            escaped("a\nb\r\tc\u{0}\u{1b}[2J\u{7f}\u{85}"),
            "a\\nb\\r\\tc\\x00\\x1b[2J\\x7f\\x85"
        );
        assert_eq!(
            escaped("x\u{202e}y\u{2028}\u{feff}"),
            "x\\u202ey\\u2028\\ufeff"
        );
        assert_eq!(escaped("\u{e0041}"), "\\U000e0041");
    }

    #[test]
    fn text_of_any_language_is_unchanged() {
        for text in ["", "naïve café", "образ", "イメージ", "🐧 \\ \"q\""] {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn value_is_quoted_if_it_could_be_read_as_two() {
        assert_eq!(value("plain/1.0"), "plain/1.0");
        assert_eq!(value(""), "\"\"");
        assert_eq!(value("x status=200"), "\"x status=200\"");
        assert_eq!(value("a\" b\\"), "\"a\\\" b\\\\\"");
        assert_eq!(value("a\nb"), "\"a\\nb\"");
        assert_eq!(value("a\u{1b}b"), "a\\x1bb");
    }
}
