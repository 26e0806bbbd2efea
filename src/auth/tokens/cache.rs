//! A cache of validated and of refused tokens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync;
use ring::digest::{Context, SHA256};

use crate::image::Caller;

/// The key of a token: its SHA-256, so that the cache contains no usable tokens, together with
/// whether an expired token is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenKey([u8; 32]);

/// The caller behind a token, or `None` if the token is not valid.
#[derive(Clone)]
pub(super) struct Entry(pub(super) Option<Arc<Caller>>);

/// The cache, bounded in number and in time. Refused tokens have a cache of their own: a client can
/// invent any number of them, and must not evict valid ones.
pub(super) struct Cache {
    valid: sync::Cache<TokenKey, (Entry, Instant)>,
    refused: sync::Cache<TokenKey, Instant>,
    keep: Duration,
    keep_refusals: Duration,
}

impl TokenKey {
    pub(super) fn new(token: &str, expired_too: bool) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[u8::from(expired_too)]);
        context.update(token.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

impl Cache {
    /// Returns a cache of `max_tokens` valid and as many refused tokens. The two durations are the longest
    /// times that a valid and a refused token are kept.
    pub(super) fn new((keep, keep_refusals): (Duration, Duration), max_tokens: usize) -> Self {
        Self {
            valid: sync::Cache::new(max_tokens),
            refused: sync::Cache::new(max_tokens),
            keep,
            keep_refusals,
        }
    }

    /// Returns the entry of a token, unless its time has passed.
    pub(super) fn get(&self, key: &TokenKey) -> Option<Entry> {
        let now = Instant::now();
        if let Some((entry, until)) = self.valid.get(key) {
            return Some(entry).filter(|_| now < until);
        }
        let until = self.refused.get(key)?;
        (now < until).then_some(Entry(None))
    }

    /// Stores the result of a validation. `left` is the remaining lifetime of a valid token.
    pub(super) fn put(&self, key: TokenKey, entry: Entry, left: Option<Duration>) {
        let now = Instant::now();
        if entry.0.is_some() {
            let keep = left.map_or(self.keep, |left| left.min(self.keep));
            self.refused.remove(&key);
            self.valid.insert(key, (entry, now + keep));
        } else {
            self.valid.remove(&key);
            self.refused.insert(key, now + self.keep_refusals);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(300);

    fn valid() -> Entry {
        Entry(Some(Arc::new(Caller::anonymous())))
    }

    fn known(cache: &Cache, key: &TokenKey) -> Option<bool> {
        cache.get(key).map(|entry| entry.0.is_some())
    }

    #[test]
    fn last_result_counts_until_it_expires() {
        let cache = Cache::new((LONG, LONG), 10);
        let key = TokenKey::new("a", false);
        assert_eq!(known(&cache, &key), None);
        cache.put(key, valid(), Some(LONG));
        assert_eq!(known(&cache, &key), Some(true));
        assert_eq!(known(&cache, &TokenKey::new("a", true)), None);
        cache.put(key, Entry(None), None);
        assert_eq!(known(&cache, &key), Some(false));
        cache.put(key, valid(), Some(Duration::ZERO));
        assert_eq!(known(&cache, &key), None, "it has expired");
    }

    #[test]
    fn valid_and_refused_tokens_have_separate_lifetimes() {
        let cache = Cache::new((Duration::ZERO, LONG), 10);
        let key = TokenKey::new("a", false);
        cache.put(key, valid(), Some(LONG));
        assert_eq!(known(&cache, &key), None);
        cache.put(key, Entry(None), None);
        assert_eq!(known(&cache, &key), Some(false));
        let cache = Cache::new((LONG, Duration::ZERO), 10);
        cache.put(key, Entry(None), None);
        assert_eq!(known(&cache, &key), None);
    }

    #[test]
    fn invented_tokens_do_not_evict_valid_ones() {
        let cache = Cache::new((LONG, LONG), 100);
        let key = TokenKey::new("good", false);
        cache.put(key, valid(), Some(LONG));
        for number in 0..10_000 {
            let key = TokenKey::new(&number.to_string(), false);
            cache.put(key, Entry(None), None);
        }
        assert_eq!(known(&cache, &key), Some(true));
        assert!(cache.refused.len() <= 100);
        for number in 0..10_000 {
            let key = TokenKey::new(&number.to_string(), false);
            cache.put(key, valid(), Some(LONG));
        }
        assert!(cache.valid.len() <= 100);
    }
}
