//! The time that the verbs write into records.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::image::Timestamp;

/// Returns the current time.
pub(super) fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// Returns the current time, but at least one microsecond after `before`. `updated_at` is a
/// validator of conditional requests, so every change must move it even if the clock was set back.
pub(super) fn now_after(before: Timestamp) -> Timestamp {
    now().max(Timestamp::from_micros(before.as_micros() + 1))
}
