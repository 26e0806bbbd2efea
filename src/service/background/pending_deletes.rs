//! The time since which this process has seen images in `pending_delete`.
//!
//! A record states when its image was deleted by the clock of the server that deleted it, which may
//! differ from the clock here. An image that became pending while this process ran must therefore
//! also have waited for `scrub_time` by the clock of this process.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::image::ImageId;

/// The pending images of the last poll.
#[derive(Debug, Default)]
pub(super) struct PendingDeletes {
    /// The time of the first poll that saw the image; `None` for images that the first poll of this
    /// process saw, which became pending earlier.
    since: HashMap<ImageId, Option<Instant>>,
    has_polled: bool,
}

impl PendingDeletes {
    /// Replaces the pending images by those of a poll.
    pub(super) fn update(&mut self, pending: impl Iterator<Item = ImageId>, now: Instant) {
        let before = std::mem::take(&mut self.since);
        let first_seen = self.has_polled.then_some(now);
        self.since = pending
            .map(|id| (id, before.get(&id).copied().unwrap_or(first_seen)))
            .collect();
        self.has_polled = true;
    }

    /// Returns true if the image has been pending for at least `time`, as far as this process
    /// knows.
    pub(super) fn has_waited(&self, id: &ImageId, time: Duration, now: Instant) -> bool {
        let since = self.since.get(id).copied().flatten();
        since.is_none_or(|since| now.saturating_duration_since(since) >= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_that_becomes_pending_later_waits_by_own_clock() {
        let (old, new) = (ImageId::random(), ImageId::random());
        let (began, time) = (Instant::now(), Duration::from_secs(600));
        let mut pending = PendingDeletes::default();
        pending.update([old].into_iter(), began);
        assert!(pending.has_waited(&old, time, began));
        let later = began + Duration::from_secs(5);
        pending.update([old, new].into_iter(), later);
        assert!(pending.has_waited(&old, time, later));
        // The time of deletion in the record does not matter: this process has just seen it.
        assert!(!pending.has_waited(&new, time, later));
        pending.update([new].into_iter(), later + time / 2);
        assert!(!pending.has_waited(&new, time, later + time / 2));
        assert!(pending.has_waited(&new, time, later + time));
        // Restored and deleted once more: the wait starts again.
        pending.update([].into_iter(), later + time);
        pending.update([new].into_iter(), later + time);
        assert!(!pending.has_waited(&new, time, later + time));
    }
}
