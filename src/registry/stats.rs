//! The statistics of a registry, which its index keeps current and metrics show.

use serde::{Deserialize, Serialize};

use crate::image::{Status, Usage};

/// The number of images in a registry and their usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryStats {
    /// The usage of all images.
    pub usage: Usage,
    /// Images by status, in the order of [`Status::ALL`].
    counts: [usize; Status::ALL.len()],
}

impl RegistryStats {
    /// Returns the number of images in each status.
    pub fn by_status(&self) -> impl Iterator<Item = (Status, usize)> {
        Status::ALL.into_iter().zip(self.counts)
    }

    /// Returns the figures that a registry server has sent.
    pub(super) fn from_counts(usage: Usage, counts: impl Iterator<Item = (Status, usize)>) -> Self {
        let mut stats = Self {
            usage,
            ..Self::default()
        };
        for (status, number) in counts {
            stats.update(status, |_| number);
        }
        stats
    }

    pub(super) fn increment(&mut self, status: Status) {
        self.update(status, |count| count + 1);
    }

    pub(super) fn decrement(&mut self, status: Status) {
        self.update(status, |count| count.saturating_sub(1));
    }

    fn update(&mut self, status: Status, change: impl FnOnce(usize) -> usize) {
        let position = Status::ALL.iter().position(|other| *other == status);
        if let Some(count) = position.and_then(|position| self.counts.get_mut(position)) {
            *count = change(*count);
        }
    }
}
