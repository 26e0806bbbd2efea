//! Value types of numbers: counts, times, limits, sizes and file permissions.

use std::marker::PhantomData;
use std::time::Duration;

use super::ValueType;

/// A whole number within limits, with a unit for its description.
pub(crate) struct Int<T> {
    min: u64,
    max: u64,
    unit: &'static str,
    value: PhantomData<T>,
}

impl<T> Int<T> {
    /// Accepts numbers from `min` to `max`, both included; `unit` may be empty.
    pub fn new(min: u64, max: u64, unit: &'static str) -> Self {
        Self {
            min,
            max,
            unit,
            value: PhantomData,
        }
    }
}

impl<T: TryFrom<u64>> ValueType for Int<T> {
    type Value = T;

    fn expected(&self) -> String {
        let of = if self.unit.is_empty() { "" } else { " of " };
        format!(
            "a whole number{of}{} from {} to {}",
            self.unit, self.min, self.max
        )
    }

    fn parse(&self, text: &str) -> Option<T> {
        // `from_str` would accept a plus sign.
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number: u64 = text.parse().ok()?;
        let in_range = (self.min..=self.max).contains(&number);
        in_range.then_some(number)?.try_into().ok()
    }
}

/// Largest value of most options in seconds: a day.
pub(crate) const DAY_S: u64 = 86_400;

/// A time in whole seconds.
pub(crate) struct Seconds {
    pub min: u64,
    pub max: u64,
}

impl ValueType for Seconds {
    type Value = Duration;

    fn expected(&self) -> String {
        Int::<u64>::new(self.min, self.max, "seconds").expected()
    }

    fn parse(&self, text: &str) -> Option<Duration> {
        let seconds = Int::new(self.min, self.max, "seconds").parse(text)?;
        Some(Duration::from_secs(seconds))
    }
}

/// A time in whole seconds, where 0 turns the limit off.
pub(crate) struct SecondsOrOff {
    pub max: u64,
}

impl ValueType for SecondsOrOff {
    type Value = Option<Duration>;

    fn expected(&self) -> String {
        format!("a whole number of seconds up to {}, 0 = none", self.max)
    }

    fn parse(&self, text: &str) -> Option<Option<Duration>> {
        let max = self.max;
        let time = Seconds { min: 0, max }.parse(text)?;
        Some(Some(time).filter(|time| !time.is_zero()))
    }
}

/// File permissions in octal digits; 0 leaves them to the umask.
pub(crate) struct FileMode;

impl ValueType for FileMode {
    type Value = Option<u32>;

    fn expected(&self) -> String {
        "octal digits from 0400 to 0777 that let the owner read, 0 = as the umask says".into()
    }

    fn parse(&self, text: &str) -> Option<Option<u32>> {
        const OWNER_READS: u32 = 0o400;
        let digits = text.strip_prefix("0o").unwrap_or(text);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mode = u32::from_str_radix(digits, 8).ok()?;
        match mode {
            0 => Some(None),
            _ => (mode <= 0o777 && mode & OWNER_READS != 0).then_some(Some(mode)),
        }
    }
}

/// An upper limit; -1 (any negative number, as in Glance) turns it off.
pub(crate) struct Limit;

impl ValueType for Limit {
    type Value = Option<u64>;

    fn expected(&self) -> String {
        "a whole number, -1 = no limit".into()
    }

    fn parse(&self, text: &str) -> Option<Option<u64>> {
        match text.strip_prefix('-') {
            Some(digits) => {
                let below_zero = Int::<u64>::new(1, u64::MAX, "").parse(digits).is_some();
                below_zero.then_some(None)
            }
            None => Int::new(0, u64::MAX, "").parse(text).map(Some),
        }
    }
}

/// An upper limit in bytes; 0 turns it off.
pub(crate) struct StorageQuota;

impl ValueType for StorageQuota {
    type Value = Option<u64>;

    fn expected(&self) -> String {
        "a whole number of bytes or of KB, MB, GB or TB (powers of 1024) such as 500GB, 0 = no \
         limit"
            .into()
    }

    fn parse(&self, text: &str) -> Option<Option<u64>> {
        const UNITS: &[(&str, u32)] = &[("KB", 10), ("MB", 20), ("GB", 30), ("TB", 40), ("B", 0)];
        let of_unit = |(unit, shift): &(&str, u32)| Some((text.strip_suffix(unit)?, *shift));
        let (digits, shift) = UNITS.iter().find_map(of_unit).unwrap_or((text, 0));
        let number = Int::<u64>::new(0, u64::MAX >> shift, "").parse(digits)?;
        Some(Some(number << shift).filter(|bytes| *bytes > 0))
    }
}
