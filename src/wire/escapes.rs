//! Percent escapes in header values.
//!
//! Since 2.11, python-glanceclient escapes every header with Python's `urllib.parse.quote`. Its
//! users typed the unescaped text, so the escapes are decoded. Older versions send the same
//! User-Agent and escape nothing; their values are kept unless `quote` could have written them.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Decodes the percent escapes of a text. Returns the text unchanged if the result would not be
/// printable UTF-8: an escaped line end must not become one in a header of a response.
pub fn decode_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.chars().any(char::is_control) => decoded,
        _ => Cow::Borrowed(text),
    }
}

/// Returns true if `quote` can have written a header's value: it leaves ASCII letters, digits and
/// `_.-~/` as they are (and `:`, since 2.12), and escapes every other byte in upper case.
pub(super) fn may_be_quoted(value: &[u8]) -> bool {
    is_quoted(value, is_upper_hex, |byte| byte == b'/')
}

/// Returns true if `quote` can have written a header's name, which arrives in lower case.
pub(super) fn may_be_quoted_name(name: &str) -> bool {
    is_quoted(name.as_bytes(), is_hex, |byte| byte == b'/')
}

/// Returns true if `quote` can have written a URI whose decoded form is a URI. If the decoded text
/// contains a space, for example, the user typed the escaped form. Escaped slashes are decoded,
/// because a URI typed with them would not be one either.
pub(super) fn may_be_quoted_address(value: &[u8]) -> bool {
    let decoded: Vec<u8> = percent_encoding::percent_decode(value).collect();
    let mut rest = decoded.as_slice();
    while let [byte, tail @ ..] = rest {
        rest = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) if is_hex(*high) && is_hex(*low) => tail,
            (b'%', _) => return false,
            _ if !byte.is_ascii_graphic() || b"\"<>\\^`{|}".contains(byte) => return false,
            _ => tail,
        };
    }
    is_quoted(value, is_upper_hex, |_| false)
}

/// Returns true if every byte is one that `quote` leaves, or is escaped with digits that
/// `is_digit` accepts and is not a byte that `is_left` unescaped in this kind of text.
fn is_quoted(text: &[u8], is_digit: impl Fn(u8) -> bool, is_left: impl Fn(u8) -> bool) -> bool {
    let mut decoded = Vec::with_capacity(text.len());
    let (mut left, mut escaped) = ([false; 256], [false; 256]);
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        let (plain, tail) = match (*byte, tail) {
            (b'%', [high, low, tail @ ..]) if is_digit(*high) && is_digit(*low) => {
                let byte = hex(*high) << 4 | hex(*low);
                // `~` was escaped until Python 3.7, `:` by 2.11.
                if is_unreserved(byte) || is_left(byte) {
                    return false;
                }
                escaped[usize::from(byte)] = true;
                (byte, tail)
            }
            (byte, tail) if is_unreserved(byte) || b"~/:".contains(&byte) => {
                left[usize::from(byte)] = true;
                (byte, tail)
            }
            _ => return false,
        };
        decoded.push(plain);
        rest = tail;
    }
    // No version of `quote` escapes a byte at one position and leaves it at another.
    let is_consistent = !left
        .iter()
        .zip(escaped)
        .any(|(left, escaped)| *left && escaped);
    is_consistent && std::str::from_utf8(&decoded).is_ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

fn is_upper_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// Returns the value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_escapes_are_decoded() {
        assert_eq!(decode_escapes("Ubuntu%2022.04"), "Ubuntu 22.04");
        assert_eq!(decode_escapes("M%C3%BCnchen"), "München");
        for text in ["100%", "a%0d%0ab", "%00", "%ff", "%zz"] {
            assert_eq!(decode_escapes(text), text);
        }
    }

    #[test]
    fn values_that_quote_cannot_have_written_are_recognized() {
        for quoted in [
            "",
            "raw",
            "Ubuntu%2022.04",
            "M%C3%BCnchen",
            "http%3A//h/a",
            "http://h/a%2520b",
            "100%25",
            "a%7Eb",
            "a~b",
            "a%0Ab",
        ] {
            assert!(may_be_quoted(quoted.as_bytes()), "{quoted}");
        }
        for typed in [
            "two words",
            "München",
            "100%",
            "50%2",
            "50% off",
            "%zz",
            "%2f",
            "%c3%bc",
            "%41",
            "%2F",
            "a+b",
            "a=b",
            "a,b",
            "a%7Eb~c",
            "%FF",
        ] {
            assert!(!may_be_quoted(typed.as_bytes()), "{typed}");
        }
        assert!(may_be_quoted_name("x-image-meta-property-%c3%84"));
        assert!(!may_be_quoted_name("x-image-meta-property-a+b"));
    }

    #[test]
    fn uris_that_decode_to_no_uri_were_typed() {
        for quoted in [
            "http://h/a.img",
            "http://h/a%2520b.img",
            "http%3A//h/a%3Fb%3Dc",
            "http%3A%2F%2Fh%2Fa",
            "swift%2Bhttp%3A//u%3Ak%40h/c/o",
        ] {
            assert!(may_be_quoted_address(quoted.as_bytes()), "{quoted}");
        }
        for typed in [
            "http://h/a%20b.img",
            "http://h/100%25.img",
            "http://h/M%C3%BCnchen.img",
            "http://h/a?b=c",
            "http://h/%22",
            "swift+http://tenant%3Auser:key@h/c/o",
            "swift://tenant%3Auser:key@h/c/o",
            "http://h/a%2Fb",
        ] {
            assert!(!may_be_quoted_address(typed.as_bytes()), "{typed}");
        }
    }
}
