//! The wall clock, as the time since 1970-01-01 00:00 UTC.
//!
//! Times that are stored, sent or compared with stored ones come from here. Unit tests set the
//! clock of their thread with `set_for_test`. Durations inside the process are measured with
//! [`std::time::Instant`] instead, which never goes backwards.

use std::time::{Duration, SystemTime};

#[cfg(test)]
thread_local! {
    static TEST_TIME: std::cell::Cell<Option<Duration>> = const { std::cell::Cell::new(None) };
}

/// Returns the time since 1970. A clock before 1970 counts as 1970.
pub fn since_epoch() -> Duration {
    #[cfg(test)]
    if let Some(set) = TEST_TIME.get() {
        return set;
    }
    to_epoch(SystemTime::now())
}

/// Converts a system time, for example of a file. A time before 1970 counts as 1970.
pub fn to_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Returns whole microseconds, the unit of stored times. Saturates in the year 294247.
pub fn micros(since_epoch: Duration) -> i64 {
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

/// Sets the clock of the calling thread. `None` returns to the system's clock.
#[cfg(test)]
pub fn set_for_test(since_epoch: Option<Duration>) {
    TEST_TIME.set(since_epoch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_can_be_set_and_released() {
        let set = Duration::from_micros(1_500_000);
        set_for_test(Some(set));
        assert_eq!(since_epoch(), set);
        assert_eq!(micros(since_epoch()), 1_500_000);
        set_for_test(None);
        assert!(since_epoch() > Duration::from_secs(1_700_000_000));
    }

    #[test]
    fn time_before_1970_counts_as_1970() {
        let early = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(to_epoch(early), Duration::ZERO);
        assert_eq!(micros(Duration::MAX), i64::MAX);
    }
}
