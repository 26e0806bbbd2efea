//! One question at a time for the same thing, whoever asks, on whatever worker.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Questions under way, each with those who wait for its answer.
pub(super) struct Flights<K, A> {
    under_way: Mutex<HashMap<K, watch::Receiver<Option<A>>>>,
}

/// One question under way; dropping it lets the next who asks ask anew.
struct Flight<K: Eq + Hash + Copy, A> {
    flights: Arc<Flights<K, A>>,
    key: K,
}

impl<K, A> Flights<K, A>
where
    K: Eq + Hash + Copy + Send + 'static,
    A: Clone + Send + Sync + 'static,
{
    /// The answer to the question under way, or to the one that begins now. A question goes
    /// on when whoever asked it first has gone. `None` when it came to nothing, because its
    /// worker ended.
    pub(super) async fn join<Q: Future<Output = A> + 'static>(
        self: &Arc<Self>,
        key: K,
        question: impl FnOnce() -> Q,
    ) -> Option<A> {
        let mut answer = self.enter(key, question);
        let answer = answer.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }

    fn enter<Q: Future<Output = A> + 'static>(
        self: &Arc<Self>,
        key: K,
        question: impl FnOnce() -> Q,
    ) -> watch::Receiver<Option<A>> {
        let mut under_way = self.lock();
        if let Some(answer) = under_way.get(&key) {
            return answer.clone();
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key, receiver.clone());
        let flight = Flight {
            flights: Arc::clone(self),
            key,
        };
        let question = question();
        tokio::task::spawn_local(async move {
            let answer = question.await;
            drop(flight);
            // Those who waited may have gone.
            let _ = sender.send(Some(answer));
        });
        receiver
    }
}

impl<K, A> Flights<K, A> {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, watch::Receiver<Option<A>>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, A> Default for Flights<K, A> {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Copy, A> Drop for Flight<K, A> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::task::LocalSet;
    use tokio::time::{sleep, timeout};

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().build().unwrap();
        LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn many_ask_and_one_question_is_put() {
        run(async {
            let (flights, asked) = (Arc::<Flights<u8, u32>>::default(), Rc::new(Cell::new(0)));
            let question = || {
                let asked = Rc::clone(&asked);
                async move {
                    asked.set(asked.get() + 1);
                    sleep(Duration::from_millis(5)).await;
                    asked.get()
                }
            };
            let ask = |key| flights.join(key, question);
            let answers = tokio::join!(ask(1), ask(1), ask(1));
            assert_eq!(answers, (Some(1), Some(1), Some(1)));
            assert_eq!(ask(1).await, Some(2), "what is answered is forgotten");
            assert!(flights.lock().is_empty());
        });
    }

    #[test]
    fn a_question_outlives_whoever_asked_it() {
        run(async {
            let flights = Arc::<Flights<u8, u32>>::default();
            let slow = || async {
                sleep(Duration::from_millis(20)).await;
                7
            };
            let gone = timeout(Duration::from_millis(1), flights.join(1, slow)).await;
            assert!(gone.is_err());
            let unasked = || std::future::pending();
            assert_eq!(flights.join(1, unasked).await, Some(7));
        });
    }

    #[test]
    fn a_question_that_comes_to_nothing_keeps_nobody() {
        let flights = Arc::<Flights<u8, u32>>::default();
        let mut lost = None;
        run(async {
            lost = Some(flights.enter(1, std::future::pending));
        });
        let mut lost = lost.unwrap();
        run(async {
            assert!(lost.wait_for(Option::is_some).await.is_err());
            assert_eq!(flights.join(1, || async { 3 }).await, Some(3));
        });
    }
}
