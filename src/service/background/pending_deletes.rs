//! Since when this process knows that images wait for the scrubber.
//!
//! The record of an image says when it was deleted by the clock of the server that did it. The
//! clock of this server may differ, so an image that began to wait while this process looked
//! must also have waited for its time by the clock of this process.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::image::ImageId;

/// The images that waited at the last look.
#[derive(Debug, Default)]
pub(in crate::service) struct PendingDeletes {
    /// When each was seen first; `None` for those of the first look, which began to wait before.
    since: HashMap<ImageId, Option<Instant>>,
    has_looked: bool,
}

impl PendingDeletes {
    /// Takes in which images wait now.
    pub(in crate::service) fn look(
        &mut self,
        pending: impl Iterator<Item = ImageId>,
        now: Instant,
    ) {
        let before = std::mem::take(&mut self.since);
        let first_seen = self.has_looked.then_some(now);
        self.since = pending
            .map(|id| (id, before.get(&id).copied().unwrap_or(first_seen)))
            .collect();
        self.has_looked = true;
    }

    /// Whether an image has waited so long by the clock of this process, as far as it knows.
    pub(in crate::service) fn has_waited(
        &self,
        id: &ImageId,
        time: Duration,
        now: Instant,
    ) -> bool {
        let since = self.since.get(id).copied().flatten();
        since.is_none_or(|since| now.saturating_duration_since(since) >= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_began_to_wait_meanwhile_has_to_wait_here() {
        let (old, new) = (ImageId::random(), ImageId::random());
        let (began, time) = (Instant::now(), Duration::from_secs(600));
        let mut seen = PendingDeletes::default();
        seen.look([old].into_iter(), began);
        assert!(seen.has_waited(&old, time, began));
        let later = began + Duration::from_secs(5);
        seen.look([old, new].into_iter(), later);
        assert!(seen.has_waited(&old, time, later));
        // Whatever the record says of its deletion.
        assert!(!seen.has_waited(&new, time, later));
        seen.look([new].into_iter(), later + time / 2);
        assert!(!seen.has_waited(&new, time, later + time / 2));
        assert!(seen.has_waited(&new, time, later + time));
        // Restored and deleted once more: it waits anew.
        seen.look([].into_iter(), later + time);
        seen.look([new].into_iter(), later + time);
        assert!(!seen.has_waited(&new, time, later + time));
    }
}
