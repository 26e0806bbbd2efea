//! Which characters of somebody else's text must not be shown as they are.
//!
//! Names and paths come from clients and servers, and end up in logs and on terminals. There
//! some characters act, or show another text than there is.

/// Whether a character would do more than stand there: control characters, line and paragraph
/// separators, and the invisible characters of Unicode's category Cf (direction marks, zero
/// widths, tags). How it is escaped is for the place to say where it would be shown.
pub fn is_unsafe_to_display(sign: char) -> bool {
    if sign.is_ascii() {
        return sign.is_ascii_control();
    }
    matches!(
        sign,
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
    fn what_acts_or_hides_is_treacherous() {
        for sign in
            "\0\n\t\u{1b}\u{7f}\u{85}\u{ad}\u{200d}\u{202e}\u{2028}\u{feff}\u{e0041}".chars()
        {
            assert!(is_unsafe_to_display(sign), "{sign:?}");
        }
    }

    #[test]
    fn text_of_any_language_is_not() {
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
