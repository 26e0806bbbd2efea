//! What the identity service said of tokens, for a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync;
use ring::digest::{Context, SHA256};

use crate::image::Caller;

/// A token, and whether one that has expired will do, as nobody can read them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenKey([u8; 32]);

/// Who shows a token; nobody, when it is not valid.
#[derive(Clone)]
pub(super) struct Entry(pub(super) Option<Arc<Caller>>);

/// Bounded in number and in time. Tokens that are not valid are kept apart: anybody can
/// make up any number of them, and must not push out those that are.
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
    /// A cache that keeps `most` tokens so long, and as many that are not valid.
    pub(super) fn new((keep, keep_refusals): (Duration, Duration), most: usize) -> Self {
        Self {
            valid: sync::Cache::new(most),
            refused: sync::Cache::new(most),
            keep,
            keep_refusals,
        }
    }

    /// What is known of a token at this time.
    pub(super) fn get(&self, key: &TokenKey) -> Option<Entry> {
        let now = Instant::now();
        if let Some((entry, until)) = self.valid.get(key) {
            return Some(entry).filter(|_| now < until);
        }
        let until = self.refused.get(key)?;
        (now < until).then_some(Entry(None))
    }

    /// Keeps what was said just now of a token that is valid for `left`.
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
    fn what_was_said_last_counts_for_a_time() {
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
    fn each_kind_has_its_time() {
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
    fn made_up_tokens_push_nobody_out() {
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
