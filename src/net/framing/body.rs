//! Finds the end of a request body (RFC 9112, 6 and 7.1), so that the validator knows where the
//! next head begins.

/// The framing of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// There is no body.
    None,
    /// A body of this many bytes, at least one (Content-Length).
    Sized(u64),
    /// A body in chunks (Transfer-Encoding: chunked).
    Chunked,
}

/// Most digits of a chunk size: 2^64 - 1 has 16. (hyper accepts any number of leading zeros.)
const MAX_SIZE_DIGITS: u8 = 16;

/// Parser of a body's framing.
///
/// It is stricter than hyper: a body that hyper could read in another way is malformed.
#[derive(Debug, Clone)]
pub(super) struct BodyFraming(State);

/// Result of [`BodyFraming::follow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    /// All bytes belong to the body, which is not complete.
    More,
    /// The body is complete after this many of the bytes.
    Whole(usize),
    /// This many of the bytes are valid; the next one is not.
    Malformed(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// This many bytes follow.
    Sized(u64),
    /// In the digits of a chunk size.
    Size {
        size: u64,
        digits: u8,
    },
    /// In blanks after a chunk size.
    SizeBlank {
        size: u64,
    },
    /// In the extensions of a chunk.
    Extension {
        size: u64,
    },
    /// Before the line feed after a chunk size.
    SizeLineFeed {
        size: u64,
    },
    /// This many bytes of a chunk follow.
    Data(u64),
    DataReturn,
    DataLineFeed,
    /// At the beginning of a trailer line.
    Trailers,
    InTrailer,
    TrailerLineFeed,
    LastLineFeed,
    Whole,
}

impl BodyFraming {
    /// Creates a parser, or `None` if there is no body.
    pub(super) fn of(length: BodyLength) -> Option<Self> {
        match length {
            BodyLength::None => None,
            BodyLength::Sized(bytes) => Some(Self(State::Sized(bytes))),
            BodyLength::Chunked => Some(Self(State::FIRST_CHUNK)),
        }
    }

    /// Parses the next bytes.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Followed {
        let mut position = 0;
        while self.0 != State::Whole {
            let rest = &bytes[position..];
            let Some(first) = rest.first() else {
                return Followed::More;
            };
            match self.0 {
                State::Sized(left) => {
                    let taken = taken(rest, left);
                    self.0 = match left - taken as u64 {
                        0 => State::Whole,
                        left => State::Sized(left),
                    };
                    position += taken;
                }
                State::Data(left) => {
                    let taken = taken(rest, left);
                    self.0 = match left - taken as u64 {
                        0 => State::DataReturn,
                        left => State::Data(left),
                    };
                    position += taken;
                }
                state => {
                    let Some(next) = state.after(*first) else {
                        return Followed::Malformed(position);
                    };
                    self.0 = next;
                    position += 1;
                }
            }
        }
        Followed::Whole(position)
    }
}

/// Returns how many of the bytes belong to a run of `left` bytes.
fn taken(bytes: &[u8], left: u64) -> usize {
    usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))
}

impl State {
    const FIRST_CHUNK: Self = State::Size { size: 0, digits: 0 };

    /// Returns the state after a byte of the framing, or `None` if the byte is invalid.
    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == MAX_SIZE_DIGITS {
                    return None;
                }
                let digit = char::from(byte).to_digit(16)?;
                State::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (State::Size { digits: 0, .. }, _) => return None,
            (State::Size { size, .. } | State::SizeBlank { size }, b' ' | b'\t') => {
                State::SizeBlank { size }
            }
            (State::Size { size, .. } | State::SizeBlank { size }, b';') => {
                State::Extension { size }
            }
            (
                State::Size { size, .. } | State::SizeBlank { size } | State::Extension { size },
                b'\r',
            ) => State::SizeLineFeed { size },
            (State::Extension { size }, _) if byte != b'\n' => State::Extension { size },
            (State::SizeLineFeed { size: 0 }, b'\n') => State::Trailers,
            (State::SizeLineFeed { size }, b'\n') => State::Data(size),
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::FIRST_CHUNK,
            (State::Trailers, b'\r') => State::LastLineFeed,
            // Parsers disagree about whether a bare line feed ends a trailer.
            (State::Trailers | State::InTrailer, b'\n') => return None,
            (State::InTrailer, b'\r') => State::TrailerLineFeed,
            (State::Trailers | State::InTrailer, _) => State::InTrailer,
            (State::TrailerLineFeed, b'\n') => State::Trailers,
            (State::LastLineFeed, b'\n') => State::Whole,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows a body in one piece and byte by byte, which must have the same result.
    fn followed(length: BodyLength, body: &[u8]) -> Followed {
        let whole = BodyFraming::of(length).unwrap().follow(body);
        let mut framing = BodyFraming::of(length).unwrap();
        let mut piecewise = Followed::More;
        for (position, byte) in body.iter().enumerate() {
            piecewise = match framing.follow(&[*byte]) {
                Followed::More => continue,
                Followed::Whole(taken) => Followed::Whole(position + taken),
                Followed::Malformed(taken) => Followed::Malformed(position + taken),
            };
            break;
        }
        assert_eq!(whole, piecewise, "{body:?}");
        whole
    }

    #[test]
    fn sized_bodies() {
        assert!(BodyFraming::of(BodyLength::None).is_none());
        let sized = BodyLength::Sized(5);
        assert_eq!(followed(sized, b"a\nb"), Followed::More);
        assert_eq!(followed(sized, b"a\nb\r\nGET"), Followed::Whole(5));
        assert_eq!(
            followed(BodyLength::Sized(u64::MAX), b"abc"),
            Followed::More
        );
    }

    #[test]
    fn chunked_bodies() {
        for body in [
            "0\r\n\r\n",
            "5;x=y\r\nab\ncd\r\n1 \t\r\n\n\r\n0\r\nTrailer: x\r\n\r\n",
            "a ;q\r\n0123456789\r\n00\r\n\r\n",
            "000000000000000A\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        ] {
            let whole = followed(BodyLength::Chunked, body.as_bytes());
            assert_eq!(whole, Followed::Whole(body.len()), "{body:?}");
            let more = format!("{body}GET / HTTP/1.1\r\n");
            assert_eq!(followed(BodyLength::Chunked, more.as_bytes()), whole);
        }
    }

    #[test]
    fn ambiguous_chunks_are_malformed() {
        let zeros = format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(16));
        for (body, sound_bytes) in [
            ("\r\n", 0),
            ("+1\r\n", 0),
            (" 1\r\n", 0),
            ("1\na\r\n", 1),
            ("1;x\ny\r\n", 3),
            ("1 1\r\n", 2),
            ("0x1\r\n", 1),
            ("1\rx", 2),
            ("1\r\nab", 4),
            ("1\r\na\n", 4),
            ("0\r\n\n", 3),
            ("0\r\nX: y\n\r\n", 7),
            ("0\r\nX: y\rz", 8),
            ("0\r\n\rx", 4),
            (zeros.as_str(), 16),
        ] {
            let malformed = Followed::Malformed(sound_bytes);
            assert_eq!(
                followed(BodyLength::Chunked, body.as_bytes()),
                malformed,
                "{body:?}"
            );
        }
    }
}
