//! Reading an old registry's tables.

mod address;
mod convert;
mod database;
mod decrypt;
mod error;
mod read;
mod rows;

pub(in crate::manage) use self::error::SqlError;
pub(super) use self::read::read_registry;
