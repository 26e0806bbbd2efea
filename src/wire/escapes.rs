//! Percent escapes in header values.
//!
//! python-glanceclient escapes every header it sends since 2.11. Its users typed something
//! else, so for that client valid escapes are undone; everybody else's bytes are theirs.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The text with its percent escapes undone, or the text itself where that would give
/// anything but printable UTF-8: an escaped line end stays escaped, so that it can end no
/// header of an answer.
pub fn decode_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.chars().any(char::is_control) => decoded,
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_valid_escapes_only() {
        assert_eq!(decode_escapes("Ubuntu%2022.04"), "Ubuntu 22.04");
        assert_eq!(decode_escapes("M%C3%BCnchen"), "München");
        for text in ["100%", "a%0d%0ab", "%00", "%ff", "%zz"] {
            assert_eq!(decode_escapes(text), text);
        }
    }
}
