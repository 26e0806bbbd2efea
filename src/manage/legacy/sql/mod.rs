//! Reads the tables of an old registry and converts their rows to images.

mod address;
mod convert;
mod database;
mod decrypt;
mod error;
mod read;
mod rows;

pub(in crate::manage) use self::error::SqlError;
pub(super) use self::read::read_registry;
