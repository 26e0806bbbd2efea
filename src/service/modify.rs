//! Changing a record: read, decide, compare and swap, and repeat if another writer was faster.

use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::image::ImageId;

/// Most attempts for one change. Each lost race means that another change has succeeded.
const MOST_ATTEMPTS: u32 = 64;

/// Upper bound of the pause after the first lost race; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Largest upper bound of a pause.
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// Changes the record of an image. `attempt` reads the record, decides what becomes of it, and
/// writes it once. An attempt that returns `Stale` lost a race and is repeated after a random
/// pause, so that competing writers separate.
///
/// # Errors
/// Those of `attempt`, except `Stale`. `Conflict` after `MOST_ATTEMPTS` lost races: the
/// change was not made. No caller treats that as success.
pub async fn modify<T>(id: &ImageId, attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    modify_within(MOST_ATTEMPTS, id, attempt).await
}

async fn modify_within<T>(
    most_attempts: u32,
    id: &ImageId,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    for number in 0..most_attempts {
        match attempt().await {
            Err(error) if error.kind() == Kind::Stale => tokio::time::sleep(pause(number)).await,
            result => return result,
        }
    }
    tracing::warn!(
        image_id = %id,
        attempts = most_attempts,
        "change of an image given up: every attempt lost a race"
    );
    let message = format!("Image {id} is being changed by too many requests.");
    Err(Error::new(Kind::Conflict, message))
}

/// A random pause between zero and a bound that grows with the number of lost races.
fn pause(lost_before: u32) -> Duration {
    let factor = 1_u32.checked_shl(lost_before).unwrap_or(u32::MAX);
    let bound = FIRST_PAUSE.saturating_mul(factor).min(LAST_PAUSE);
    // The low 32 bits of a version 4 UUID are random (RFC 9562, 5.4).
    let random = Uuid::new_v4().as_u128() as u32;
    bound.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stale() -> Error {
        Error::new(Kind::Stale, "changed")
    }

    #[tokio::test]
    async fn lost_race_is_repeated() {
        let id = ImageId::random();
        let mut attempts = 0;
        let result = modify(&id, async || {
            attempts += 1;
            match attempts {
                3 => Ok("done"),
                _ => Err(stale()),
            }
        });
        assert_eq!(result.await.unwrap(), "done");
        assert_eq!(attempts, 3);
    }

    #[tokio::test]
    async fn other_errors_are_returned_at_once() {
        let mut attempts = 0;
        let result: Result<()> = modify(&ImageId::random(), async || {
            attempts += 1;
            Err(Error::new(Kind::NotFound, "none"))
        })
        .await;
        assert_eq!(result.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(attempts, 1);
    }

    #[tokio::test]
    async fn exhaustion_is_an_error() {
        let mut attempts = 0;
        let result: Result<()> = modify_within(5, &ImageId::random(), async || {
            attempts += 1;
            Err(stale())
        })
        .await;
        assert_eq!(result.unwrap_err().kind(), Kind::Conflict);
        assert_eq!(attempts, 5);
    }

    #[test]
    fn pauses_are_bounded() {
        for lost_before in 0..MOST_ATTEMPTS {
            assert!(pause(lost_before) <= LAST_PAUSE);
        }
        assert!(pause(0) <= FIRST_PAUSE);
    }
}
