//! The SQL registries of Glance, from 2011 to today: SQLite, MySQL and PostgreSQL.
//!
//! Only programs that are built with the feature `legacy-sql` can read them.

mod error;
mod given;
mod places;
#[cfg(feature = "legacy-sql")]
mod sql;
mod taken;

pub(super) use self::error::LegacyError;
pub(super) use self::given::{key, url};
pub(super) use self::places::{Places, store_folder};
pub(super) use self::taken::Taken;

use crate::config::Secret;

/// Every image of an old registry, as it was at one moment. Nothing is written there.
#[cfg(feature = "legacy-sql")]
pub(super) async fn read_registry(
    url: &Secret,
    key: Option<&Secret>,
    places: &Places,
) -> Result<Taken, LegacyError> {
    Ok(sql::read_registry(url, key, places).await?)
}

/// Says that there is nothing to read it with.
#[cfg(not(feature = "legacy-sql"))]
pub(super) async fn read_registry(
    _url: &Secret,
    _key: Option<&Secret>,
    _places: &Places,
) -> Result<Taken, LegacyError> {
    Err(LegacyError::NotBuilt)
}
