//! What another server issues for a time: a token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

/// How long a failure to renew something is believed while what is there is still valid.
const FAILURE_BELIEVED: Duration = Duration::from_secs(5);

/// Something that is valid for a time.
pub trait Expiring {
    /// When it is to be renewed; `None` when nobody knows.
    fn renew_at(&self) -> Option<Instant>;

    /// When it is worth nothing any more; `None` when nobody knows.
    fn expires_at(&self) -> Option<Instant>;
}

/// Holds something that expires, for all threads, and has it fetched by one at a time.
pub struct ExpiringCell<T, E> {
    current: ArcSwapOption<T>,
    /// Whose turn it is to fetch, and when the last who did failed.
    turn: Mutex<Option<(Instant, Arc<E>)>>,
}

impl<T: Expiring, E> ExpiringCell<T, E> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            turn: Mutex::new(None),
        }
    }

    /// What there is, fetched when there is none or it expires soon. While it is still valid
    /// it is given even if no other can be fetched. `fetch` is polled only if need be.
    ///
    /// # Errors
    /// That of `fetch`, also when somebody else's failed while this one waited for it.
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

    /// Another than the one that was refused before its time.
    ///
    /// # Errors
    /// That of `fetch`, as for [`ExpiringCell::get`].
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
        let mut failure = self.turn.lock().await;
        if let Some(current) = self.current_if(is_good) {
            return Ok(current);
        }
        if let Some((failed_at, error)) = &*failure {
            let is_valid = || {
                self.current_if(|current| is_before(current.expires_at()))
                    .is_some()
            };
            let is_recent = failed_at.elapsed() < FAILURE_BELIEVED;
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
    fn many_ask_and_one_fetches() {
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
    fn who_waited_for_a_failure_fails_with_it() {
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
    fn what_expires_soon_is_renewed_and_good_until_then() {
        run(async {
            let held = ExpiringCell::<_, &str>::new();
            let first = held
                .get(async { Ok(ticket(1, Duration::ZERO, LONG)) })
                .await;
            assert_eq!(first.unwrap().number, 1);
            let away = held.get(async { Err("away") }).await;
            assert_eq!(away.unwrap().number, 1);
            // For a while nobody is asked again.
            let unasked = held.get(async { unreachable!() }).await;
            assert_eq!(unasked.unwrap().number, 1);
            let expired = ExpiringCell::<_, &str>::new();
            let ticket = async { Ok(ticket(1, Duration::ZERO, Duration::ZERO)) };
            assert!(expired.get(ticket).await.is_ok());
            assert!(expired.get(async { Err("away") }).await.is_err());
        });
    }
}
