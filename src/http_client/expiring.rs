//! A cached value that expires, such as a token, with a refresh that only one caller performs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

/// Time after a failed refresh in which no other refresh is tried, as long as the value is valid.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A value that is valid for a limited time.
pub trait Expiring {
    /// Returns the time from which it should be refreshed, or `None` if that is unknown.
    fn renew_at(&self) -> Option<Instant>;

    /// Returns the time from which it is invalid, or `None` if that is unknown.
    fn expires_at(&self) -> Option<Instant>;
}

/// Holds an expiring value for all threads. One caller at a time fetches it; the others wait for
/// the result.
pub struct ExpiringCell<T, E> {
    current: ArcSwapOption<T>,
    /// Held by the caller that fetches. Contains the time and error of the last failed fetch.
    last_failure: Mutex<Option<(Instant, Arc<E>)>>,
}

impl<T: Expiring, E> ExpiringCell<T, E> {
    /// Creates an empty cell.
    pub fn new() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            last_failure: Mutex::new(None),
        }
    }

    /// Returns the value. Fetches it if there is none or if it should be refreshed; if the fetch
    /// fails, returns the old value as long as it is valid. `fetch` is polled only if needed.
    ///
    /// # Errors
    /// The error of `fetch`, or of another caller's fetch that this caller waited for.
    pub async fn get(&self, fetch: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, Arc<E>> {
        if let Some(current) = self.current_if(|current| is_before(current.renew_at())) {
            return Ok(current);
        }
        let renewed = self.renew(|current| is_before(current.renew_at()), fetch);
        match renewed.await {
            Ok(renewed) => Ok(renewed),
            Err(error) => {
                let valid = self.current_if(|current| is_before(current.expires_at()));
                valid.ok_or(error)
            }
        }
    }

    /// Returns a value other than `refused`, which the server rejected before its expiry.
    ///
    /// # Errors
    /// As for [`ExpiringCell::get`].
    pub async fn replace(
        &self,
        refused: &Arc<T>,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, Arc<E>> {
        self.renew(|current| !Arc::ptr_eq(current, refused), fetch)
            .await
    }

    async fn renew(
        &self,
        is_good: impl Fn(&Arc<T>) -> bool,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, Arc<E>> {
        let asked_at = Instant::now();
        let mut failure = self.last_failure.lock().await;
        // Another caller may have fetched while this one waited for the lock.
        if let Some(current) = self.current_if(is_good) {
            return Ok(current);
        }
        if let Some((failed_at, error)) = &*failure {
            let is_valid = || {
                self.current_if(|current| is_before(current.expires_at()))
                    .is_some()
            };
            let is_recent = failed_at.elapsed() < RETRY_AFTER;
            // A failure after this caller asked is also its own result: the waiting callers must
            // not repeat the failed fetch one after the other.
            if *failed_at >= asked_at || (is_recent && is_valid()) {
                return Err(Arc::clone(error));
            }
        }
        match fetch.await {
            Ok(fetched) => {
                let fetched = Arc::new(fetched);
                self.current.store(Some(Arc::clone(&fetched)));
                *failure = None;
                Ok(fetched)
            }
            Err(error) => {
                let error = Arc::new(error);
                *failure = Some((Instant::now(), Arc::clone(&error)));
                Err(error)
            }
        }
    }

    fn current_if(&self, is_good: impl Fn(&Arc<T>) -> bool) -> Option<Arc<T>> {
        self.current.load_full().filter(|current| is_good(current))
    }
}

impl<T: Expiring, E> Default for ExpiringCell<T, E> {
    fn default() -> Self {
        Self::new()
    }
}

fn is_before(limit: Option<Instant>) -> bool {
    limit.is_none_or(|limit| Instant::now() < limit)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Ticket {
        number: u32,
        renew_in: Duration,
        expires_in: Duration,
        made: Instant,
    }

    impl Expiring for Ticket {
        fn renew_at(&self) -> Option<Instant> {
            Some(self.made + self.renew_in)
        }

        fn expires_at(&self) -> Option<Instant> {
            Some(self.made + self.expires_in)
        }
    }

    const LONG: Duration = Duration::from_secs(1000);

    fn ticket(number: u32, renew_in: Duration, expires_in: Duration) -> Ticket {
        Ticket {
            number,
            renew_in,
            expires_in,
            made: Instant::now(),
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn concurrent_callers_share_one_fetch() {
        run(async {
            let (fetches, held) = (Cell::new(0), ExpiringCell::<_, ()>::new());
            let ask = || {
                held.get(async {
                    fetches.set(fetches.get() + 1);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    Ok(ticket(fetches.get(), LONG, LONG))
                })
            };
            let (a, b, c) = tokio::join!(ask(), ask(), ask());
            assert_eq!(fetches.get(), 1);
            assert!(
                [a, b, c]
                    .iter()
                    .all(|got| got.as_ref().unwrap().number == 1)
            );
            let refused = ask().await.unwrap();
            let replace = || held.replace(&refused, async { Ok(ticket(2, LONG, LONG)) });
            let (a, b) = tokio::join!(replace(), replace());
            assert!(Arc::ptr_eq(&a.unwrap(), &b.unwrap()));
        });
    }

    #[test]
    fn callers_that_waited_for_a_failed_fetch_share_its_error() {
        run(async {
            let (fetches, held) = (Cell::new(0), ExpiringCell::<Ticket, u32>::new());
            let ask = || {
                held.get(async {
                    fetches.set(fetches.get() + 1);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    Err(fetches.get())
                })
            };
            let (a, b) = tokio::join!(ask(), ask());
            assert_eq!(
                (fetches.get(), a.err(), b.err()),
                (1, Some(1.into()), Some(1.into()))
            );
            assert!(ask().await.is_err());
            assert_eq!(fetches.get(), 2);
        });
    }

    #[test]
    fn value_that_expires_soon_is_refreshed_and_valid_until_then() {
        run(async {
            let held = ExpiringCell::<_, &str>::new();
            let first = held
                .get(async { Ok(ticket(1, Duration::ZERO, LONG)) })
                .await;
            assert_eq!(first.unwrap().number, 1);
            let away = held.get(async { Err("away") }).await;
            assert_eq!(away.unwrap().number, 1);
            // No second refresh is tried within RETRY_AFTER.
            let unasked = held.get(async { unreachable!() }).await;
            assert_eq!(unasked.unwrap().number, 1);
            let expired = ExpiringCell::<_, &str>::new();
            let ticket = async { Ok(ticket(1, Duration::ZERO, Duration::ZERO)) };
            assert!(expired.get(ticket).await.is_ok());
            assert!(expired.get(async { Err("away") }).await.is_err());
        });
    }
}
