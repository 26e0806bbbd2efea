//! The times that the verbs write into records.

use crate::clock::{micros, since_epoch};
use crate::image::Timestamp;

/// Returns the current time.
pub(super) fn now() -> Timestamp {
    Timestamp::from_micros(micros(since_epoch()))
}

/// Returns the current time, but at least one microsecond after `before`. `updated_at` is a
/// validator of conditional requests, so every change must move it even if the clock was set back.
pub(super) fn now_after(before: Timestamp) -> Timestamp {
    now().max(Timestamp::from_micros(before.as_micros() + 1))
}
