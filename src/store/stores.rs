//! The configured stores, found by the schemes of their locations.

use std::sync::Arc;

use super::metered::MeteredStore;
use super::{Store, file, http, s3, swift};
use crate::error::{Error, Kind, Result};
use crate::image::Location;

/// The configured stores, and the name of the default one for new images.
#[derive(Clone)]
pub struct Stores {
    stores: Vec<Arc<dyn Store>>,
    default: String,
}

impl Stores {
    /// Creates the set of stores; `default_scheme` names the one for images that request none.
    /// Returns `None` if no store has that scheme.
    pub fn new(stores: Vec<Arc<dyn Store>>, default_scheme: &str) -> Option<Self> {
        let metered = |store| Arc::new(MeteredStore::new(store)) as Arc<dyn Store>;
        let stores = Self {
            stores: stores.into_iter().map(metered).collect(),
            default: default_scheme.to_owned(),
        };
        stores.find(default_scheme)?;
        Some(stores)
    }

    /// Creates an empty set.
    #[cfg(test)]
    pub fn none() -> Self {
        Self {
            stores: Vec::new(),
            default: String::new(),
        }
    }

    /// Returns the store that a client requests by scheme, or the default one.
    ///
    /// # Errors
    /// `Invalid` if no store has the scheme.
    pub fn choose(&self, scheme: Option<&str>) -> Result<Arc<dyn Store>> {
        let scheme = scheme.unwrap_or(&self.default);
        self.find(scheme).cloned().ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                format!("Required store {scheme} is invalid: it is not configured."),
            )
        })
    }

    /// Returns the store of a location.
    ///
    /// # Errors
    /// `Unavailable` if its scheme is not configured (any more).
    pub fn for_location(&self, location: &Location) -> Result<Arc<dyn Store>> {
        self.find(location.scheme()).cloned().ok_or_else(|| {
            Error::new(
                Kind::Unavailable {
                    retry_after: std::time::Duration::from_secs(60),
                },
                "The store that holds the image's data is not configured.",
            )
            .because(format!("no store has the scheme of {location:?}"))
        })
    }

    /// Returns the store of a location that a client names as an image's source, or `None` if
    /// clients may not name locations of that scheme.
    pub fn for_source(&self, location: &Location) -> Option<Arc<dyn Store>> {
        let store = self.find(location.scheme())?;
        has(store.source_schemes(), location.scheme()).then(|| Arc::clone(store))
    }

    /// Returns all stores.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Store>> {
        self.stores.iter()
    }

    fn find(&self, scheme: &str) -> Option<&Arc<dyn Store>> {
        self.stores
            .iter()
            .find(|store| has(store.schemes(), scheme))
    }
}

/// Returns the name of the store that reads locations of a scheme, configured or not.
pub fn store_of_scheme(scheme: &str) -> Option<&'static str> {
    let all = [file::SCHEMES, http::SCHEMES, s3::SCHEMES, swift::SCHEMES];
    let found = all.into_iter().find(|schemes| has(schemes, scheme));
    found.and_then(|schemes| schemes.first().copied())
}

fn has(schemes: &[&str], scheme: &str) -> bool {
    schemes.iter().any(|own| own.eq_ignore_ascii_case(scheme))
}
