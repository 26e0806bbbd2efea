//! Images with a write whose outcome is unknown.
//!
//! A registry server that stalls may apply a write after the API server has given up, and even
//! after a check of the record has found nothing. The record is therefore checked again, at growing
//! intervals, as long as the write may still be applied.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::image::ImageId;

/// The wait before the first repeated check; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait. The check after it is the last.
const LAST_WAIT: Duration = Duration::from_secs(640);
/// Most images that are tracked. The recovery at the next start finds any further ones.
const MOST_IMAGES: usize = 10_000;

/// The images to check, with the time of the next check.
#[derive(Debug, Default)]
pub(in crate::service) struct UnconfirmedWrites {
    images: Mutex<HashMap<ImageId, NextCheck>>,
}

#[derive(Debug, Clone, Copy)]
struct NextCheck {
    at: Instant,
    wait: Duration,
}

impl UnconfirmedWrites {
    /// Adds an image whose last write is unconfirmed.
    pub(in crate::service) fn note(&self, id: ImageId, now: Instant) {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if images.len() < MOST_IMAGES || images.contains_key(&id) {
            let wait = FIRST_WAIT;
            let at = now + wait;
            images.insert(id, NextCheck { at, wait });
        }
    }

    /// Returns the images that are due, and schedules their next checks.
    pub(super) fn due(&self, now: Instant) -> Vec<ImageId> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        let due = images.iter().filter(|(_, next)| next.at <= now);
        let due: Vec<ImageId> = due.map(|(id, _)| *id).collect();
        for id in &due {
            if let Some(next) = images.get_mut(id) {
                next.wait *= 2;
                next.at = now + next.wait;
            }
        }
        images.retain(|_, next| next.wait <= LAST_WAIT);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_is_checked_at_doubling_intervals_and_then_forgotten() {
        let unconfirmed = UnconfirmedWrites::default();
        let (id, began) = (ImageId::random(), Instant::now());
        unconfirmed.note(id, began);
        let checks = (0..3600).filter(|second| {
            let due = unconfirmed.due(began + Duration::from_secs(*second));
            assert!(due.is_empty() || due == [id]);
            !due.is_empty()
        });
        assert_eq!(
            checks.collect::<Vec<_>>(),
            [5, 15, 35, 75, 155, 315, 635, 1275]
        );
        assert!(unconfirmed.images.lock().unwrap().is_empty());
    }
}
