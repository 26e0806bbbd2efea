//! Shares one call among all concurrent requests for the same key, on every worker.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// The calls in progress by their keys. Each has a channel, from which the requests that share it
/// receive the result.
pub(super) struct SingleFlight<K, A> {
    in_progress: Mutex<HashMap<K, watch::Receiver<Option<A>>>>,
}

/// A call in progress. Dropping it removes the key, so that the next request starts a new call.
struct PendingCall<K: Eq + Hash + Copy, A> {
    calls: Arc<SingleFlight<K, A>>,
    key: K,
}

impl<K, A> SingleFlight<K, A>
where
    K: Eq + Hash + Copy + Send + 'static,
    A: Clone + Send + Sync + 'static,
{
    /// Returns the result of the call in progress for `key`, or of a new one. The call continues
    /// if the request that started it is cancelled. Returns `None` if the call was dropped without
    /// a result, because its worker has ended. Must be called in a [`tokio::task::LocalSet`].
    pub(super) async fn join<Q: Future<Output = A> + 'static>(
        self: &Arc<Self>,
        key: K,
        call: impl FnOnce() -> Q,
    ) -> Option<A> {
        let mut result = self.enter(key, call);
        let result = result.wait_for(Option::is_some).await.ok()?;
        result.clone()
    }

    fn enter<Q: Future<Output = A> + 'static>(
        self: &Arc<Self>,
        key: K,
        call: impl FnOnce() -> Q,
    ) -> watch::Receiver<Option<A>> {
        let mut in_progress = self.lock();
        if let Some(result) = in_progress.get(&key) {
            return result.clone();
        }
        let (sender, receiver) = watch::channel(None);
        in_progress.insert(key, receiver.clone());
        let pending = PendingCall {
            calls: Arc::clone(self),
            key,
        };
        let call = call();
        // A task of its own: the request that starts the call may be cancelled while others wait.
        tokio::task::spawn_local(async move {
            let result = call.await;
            // Before the result is sent: a request that arrives afterwards must start a new call.
            drop(pending);
            // Fails if every request was cancelled.
            let _ = sender.send(Some(result));
        });
        receiver
    }
}

impl<K, A> SingleFlight<K, A> {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, watch::Receiver<Option<A>>>> {
        self.in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, A> Default for SingleFlight<K, A> {
    fn default() -> Self {
        Self {
            in_progress: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Copy, A> Drop for PendingCall<K, A> {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.key);
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
    fn concurrent_requests_share_one_call() {
        run(async {
            let (calls, asked) = (
                Arc::<SingleFlight<u8, u32>>::default(),
                Rc::new(Cell::new(0)),
            );
            let question = || {
                let asked = Rc::clone(&asked);
                async move {
                    asked.set(asked.get() + 1);
                    sleep(Duration::from_millis(5)).await;
                    asked.get()
                }
            };
            let ask = |key| calls.join(key, question);
            let answers = tokio::join!(ask(1), ask(1), ask(1));
            assert_eq!(answers, (Some(1), Some(1), Some(1)));
            assert_eq!(ask(1).await, Some(2), "a finished call is not shared");
            assert!(calls.lock().is_empty());
        });
    }

    #[test]
    fn call_continues_when_its_first_request_is_cancelled() {
        run(async {
            let calls = Arc::<SingleFlight<u8, u32>>::default();
            let slow = || async {
                sleep(Duration::from_millis(20)).await;
                7
            };
            let gone = timeout(Duration::from_millis(1), calls.join(1, slow)).await;
            assert!(gone.is_err());
            let unasked = || std::future::pending();
            assert_eq!(calls.join(1, unasked).await, Some(7));
        });
    }

    #[test]
    fn lost_call_releases_its_requests() {
        let calls = Arc::<SingleFlight<u8, u32>>::default();
        let mut lost = None;
        run(async {
            lost = Some(calls.enter(1, std::future::pending));
        });
        let mut lost = lost.unwrap();
        run(async {
            assert!(lost.wait_for(Option::is_some).await.is_err());
            assert_eq!(calls.join(1, || async { 3 }).await, Some(3));
        });
    }
}
