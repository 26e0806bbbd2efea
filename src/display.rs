//! Characters of untrusted text that are unsafe to print.
//!
//! Names and paths of clients and other servers appear in logs and on terminals, where control
//! characters act and invisible ones disguise the text. Each writer escapes them in its own way.

/// Returns true if a character is unsafe to print verbatim: control characters, line and paragraph
/// separators, and the invisible characters of Unicode's category Cf (direction marks, zero
/// widths, tags).
pub fn is_unsafe_to_display(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    matches!(
        character,
        '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::is_unsafe_to_display;

    #[test]
    fn control_and_invisible_characters_are_unsafe() {
        for character in
            "\0\n\t\u{1b}\u{7f}\u{85}\u{ad}\u{200d}\u{202e}\u{2028}\u{feff}\u{e0041}".chars()
        {
            assert!(is_unsafe_to_display(character), "{character:?}");
        }
    }

    #[test]
    fn text_of_any_language_is_safe() {
        for text in [
            "naïve café",
            "образ",
            "イメージ",
            "שלום",
            "🐧 \\ \"q\"",
            "\u{a0}",
        ] {
            assert!(!text.chars().any(is_unsafe_to_display), "{text}");
        }
    }
}
