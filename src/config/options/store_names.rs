//! The spellings of store names.

/// Every spelling of a store name in Glance, old ones included, with the canonical name.
const STORES: &[(&str, &str)] = &[
    ("file", "file"),
    ("filesystem", "file"),
    ("glance.store.filesystem.Store", "file"),
    ("http", "http"),
    ("https", "http"),
    ("glance.store.http.Store", "http"),
    ("s3", "s3"),
    ("glance.store.s3.Store", "s3"),
    ("swift", "swift"),
    ("glance.store.swift.Store", "swift"),
];

/// Returns the canonical name of a store that `stores` lists; `None` for an unknown store.
pub(crate) fn store_named(name: &str) -> Option<&'static str> {
    let found = STORES.iter().find(|(spelling, _)| *spelling == name);
    found.map(|(_, store)| *store)
}
