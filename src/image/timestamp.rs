//! Points in time, in the text form of the v1 API and of records.

use std::fmt;

use jiff::civil;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, UTC, to the microsecond.
///
/// Written `YYYY-MM-DDTHH:MM:SS.ffffff`, without a zone letter, and without the fraction
/// when it is zero: the same text in JSON and in headers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    micros: i64,
}

impl Timestamp {
    /// Creates a timestamp from microseconds since 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self { micros }
    }

    /// Returns the microseconds since 1970-01-01T00:00:00Z.
    pub fn as_micros(self) -> i64 {
        self.micros
    }

    /// Parses ISO 8601: a date, or a date and a time, with or without a zone offset (default UTC).
    /// Returns `None` for other text and for years before 1900.
    pub fn parse(text: &str) -> Option<Self> {
        let instant = match text.parse::<jiff::Timestamp>() {
            Ok(instant) => instant,
            Err(_) => {
                let civil: civil::DateTime = text.parse().ok()?;
                civil.to_zoned(TimeZone::UTC).ok()?.timestamp()
            }
        };
        let year = TimeZone::UTC.to_datetime(instant).year();
        (year >= 1900).then(|| Self::from_micros(instant.as_microsecond()))
    }

    /// Formats the timestamp into a buffer on the stack: lists write several per image without
    /// allocation.
    pub fn format(self) -> TimestampText {
        let instant = jiff::Timestamp::from_microsecond(self.micros).unwrap_or_default();
        let civil = TimeZone::UTC.to_datetime(instant);
        let mut text = TimestampText {
            bytes: *b"0000-00-00T00:00:00.000000",
            len: 19,
        };
        text.put(0, 4, civil.year().unsigned_abs().into());
        text.put(5, 2, civil.month().unsigned_abs().into());
        text.put(8, 2, civil.day().unsigned_abs().into());
        text.put(11, 2, civil.hour().unsigned_abs().into());
        text.put(14, 2, civil.minute().unsigned_abs().into());
        text.put(17, 2, civil.second().unsigned_abs().into());
        let fraction = self.micros.rem_euclid(1_000_000);
        if fraction != 0 {
            text.put(20, 6, fraction as u32);
            text.len = 26;
        }
        text
    }
}

/// The text of a timestamp, on the stack.
pub struct TimestampText {
    bytes: [u8; 26],
    len: usize,
}

impl TimestampText {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        // The buffer holds ASCII only, so the fallback is never used.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    fn put(&mut self, at: usize, digits: usize, mut value: u32) {
        for byte in self.bytes[at..at + digits].iter_mut().rev() {
            *byte = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format().as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format().as_str())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.format().as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an ISO 8601 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_glance_does() {
        let second = Timestamp::from_micros(1_265_189_641_000_000);
        assert_eq!(second.to_string(), "2010-02-03T09:34:01");
        let with_fraction = Timestamp::from_micros(1_265_189_641_000_042);
        assert_eq!(with_fraction.to_string(), "2010-02-03T09:34:01.000042");
    }

    #[test]
    fn reads_iso_8601() {
        for (text, expected) in [
            ("2010-02-03T09:34:01", "2010-02-03T09:34:01"),
            ("2010-02-03 09:34:01", "2010-02-03T09:34:01"),
            ("2010-02-03T09:34:01Z", "2010-02-03T09:34:01"),
            ("2010-02-03T09:34:01.5", "2010-02-03T09:34:01.500000"),
            ("2010-02-03T09:34:01+02:00", "2010-02-03T07:34:01"),
            ("2010-02-03", "2010-02-03T00:00:00"),
        ] {
            let parsed = Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(parsed.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "yesterday", "2010-13-01", "1899-12-31", "12:00"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}
