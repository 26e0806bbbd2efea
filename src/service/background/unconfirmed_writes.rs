//! Images with a write whose outcome nobody knows.
//!
//! A registry server that stalls may carry out a write after the API server has given it up,
//! and even after a look at the record has found nothing. So the record is looked at again,
//! more and more seldom, as long as the write may be on its way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::image::ImageId;

/// The wait before the second look; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// No more looks after a wait as long as this.
const LAST_WAIT: Duration = Duration::from_secs(640);
/// Most images that are kept. Of more than that, the start of the next process takes care.
const MOST_IMAGES: usize = 10_000;

#[derive(Debug, Default)]
pub(in crate::service) struct UnconfirmedWrites {
    images: Mutex<HashMap<ImageId, Look>>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    wait: Duration,
}

impl UnconfirmedWrites {
    /// Notes an image.
    pub(in crate::service) fn note(&self, id: ImageId, now: Instant) {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if images.len() < MOST_IMAGES || images.contains_key(&id) {
            let wait = FIRST_WAIT;
            let at = now + wait;
            images.insert(id, Look { at, wait });
        }
    }

    /// The images to look at now.
    pub(in crate::service) fn due(&self, now: Instant) -> Vec<ImageId> {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        let due = images.iter().filter(|(_, look)| look.at <= now);
        let due: Vec<ImageId> = due.map(|(id, _)| *id).collect();
        for id in &due {
            if let Some(look) = images.get_mut(id) {
                look.wait *= 2;
                look.at = now + look.wait;
            }
        }
        images.retain(|_, look| look.wait <= LAST_WAIT);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_looked_at_again_and_again_and_then_forgotten() {
        let unconfirmed_writes = UnconfirmedWrites::default();
        let (id, began) = (ImageId::random(), Instant::now());
        unconfirmed_writes.note(id, began);
        let looks = (0..3600).filter(|second| {
            let due = unconfirmed_writes.due(began + Duration::from_secs(*second));
            assert!(due.is_empty() || due == [id]);
            !due.is_empty()
        });
        assert_eq!(
            looks.collect::<Vec<_>>(),
            [5, 15, 35, 75, 155, 315, 635, 1275]
        );
        assert!(unconfirmed_writes.images.lock().unwrap().is_empty());
    }
}
