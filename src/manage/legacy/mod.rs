//! Reads the SQL registries of every Glance release since 2011: SQLite, MySQL and PostgreSQL.
//!
//! Requires the Cargo feature `legacy-sql`; without it, [`read_registry`] returns an error.

mod error;
mod import_result;
mod input;
mod location_map;
#[cfg(feature = "legacy-sql")]
mod sql;

pub(super) use self::error::LegacyError;
pub(super) use self::import_result::LegacyImages;
pub(super) use self::input::{key, url};
pub(super) use self::location_map::{LocationMap, store_folder};

use crate::config::Secret;

/// Reads every image of an old registry in one transaction. Writes nothing there.
///
/// # Errors
/// When the database cannot be read or is not a registry of Glance.
#[cfg(feature = "legacy-sql")]
pub(super) async fn read_registry(
    url: &Secret,
    key: Option<&Secret>,
    location_map: &LocationMap,
) -> Result<LegacyImages, LegacyError> {
    Ok(sql::read_registry(url, key, location_map).await?)
}

/// Returns the error that this program has no SQL drivers.
#[cfg(not(feature = "legacy-sql"))]
pub(super) async fn read_registry(
    _url: &Secret,
    _key: Option<&Secret>,
    _places: &LocationMap,
) -> Result<LegacyImages, LegacyError> {
    Err(LegacyError::NotBuilt)
}
