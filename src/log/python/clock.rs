//! What time it is, and how the log writes it.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The form of `asctime`.
#[derive(Clone, Debug)]
pub(in crate::log) enum DateFormat {
    /// A strftime format.
    Strftime(String),
    /// What Python's logging does without a format: `2026-01-31 23:59:59,250`.
    Python,
}

impl DateFormat {
    /// Checks a strftime format by using it.
    ///
    /// The error says what is wrong with it.
    pub fn strftime(format: &str) -> Result<Self, String> {
        if format.contains(char::is_control) {
            return Err("it has a control character".into());
        }
        strtime::format(format, &Zoned::now()).map_err(|error| error.to_string())?;
        Ok(Self::Strftime(format.to_owned()))
    }

    pub fn render(&self, time: &Zoned) -> String {
        let (format, fraction) = match self {
            Self::Strftime(format) => (format.as_str(), None),
            Self::Python => ("%Y-%m-%d %H:%M:%S", Some(time.millisecond())),
        };
        // The format was tried when it was read; a time that it cannot write is shown in the standard form.
        let text = strtime::format(format, time).unwrap_or_else(|_| time.to_string());
        match fraction {
            Some(ms) => format!("{text},{ms:03}"),
            None => text,
        }
    }
}

/// The clock of the log: local time, as Python's logging uses; UTC when the system names no zone.
#[derive(Clone, Debug)]
pub(in crate::log) struct Clock {
    zone: TimeZone,
}

impl Clock {
    pub fn from_system() -> Self {
        Self {
            zone: TimeZone::try_system().unwrap_or(TimeZone::UTC),
        }
    }

    pub fn now(&self) -> Zoned {
        Timestamp::now().to_zoned(self.zone.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_time() -> Zoned {
        "2026-01-02T03:04:05.006789+00:00[UTC]"
            .parse()
            .expect("a time")
    }

    #[test]
    fn times_are_written_as_asked() {
        let seeds = DateFormat::strftime("%Y-%m-%d %H:%M:%S").expect("sound");
        assert_eq!(seeds.render(&a_time()), "2026-01-02 03:04:05");
        let apache = DateFormat::strftime("%d/%b/%Y:%H:%M:%S %z").expect("sound");
        assert_eq!(apache.render(&a_time()), "02/Jan/2026:03:04:05 +0000");
        assert_eq!(
            DateFormat::Python.render(&a_time()),
            "2026-01-02 03:04:05,006"
        );
    }

    #[test]
    fn formats_are_tried_before_they_are_used() {
        assert!(DateFormat::strftime("%Y %!").is_err());
        assert!(DateFormat::strftime("%Y\n").is_err());
    }
}
