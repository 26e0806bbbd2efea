//! The local time of log lines, and its format.

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The format of `asctime`.
#[derive(Clone, Debug)]
pub(in crate::log) enum DateFormat {
    /// A strftime format.
    Strftime(String),
    /// The default of Python's logging: `2026-01-31 23:59:59,250`.
    Python,
}

impl DateFormat {
    /// Checks a strftime format by rendering the current time with it.
    ///
    /// # Errors
    /// Returns a description of the mistake.
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
        // The format was checked when it was read. A time that it cannot render is shown in RFC
        // 9557 form.
        let text = strtime::format(format, time).unwrap_or_else(|_| time.to_string());
        match fraction {
            Some(ms) => format!("{text},{ms:03}"),
            None => text,
        }
    }
}

/// The clock of the log. It shows local time, as Python's logging does, or UTC if the system has no
/// time zone.
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
    fn times_are_rendered_in_the_format() {
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
    fn invalid_formats_are_rejected() {
        assert!(DateFormat::strftime("%Y %!").is_err());
        assert!(DateFormat::strftime("%Y\n").is_err());
    }
}
