//! Names of stores.

/// The stores this release has, in every spelling of Glance, old ones included.
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

/// The store that a name in `stores` stands for, by its one name here.
pub(crate) fn store_named(name: &str) -> Option<&'static str> {
    let found = STORES.iter().find(|(spelling, _)| *spelling == name);
    found.map(|(_, store)| *store)
}
