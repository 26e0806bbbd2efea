//! `glance-manage`: exports, imports, checks and purges a whole registry.
//!
//! Every command uses the `Registry` trait, so a dump of one kind of registry can be imported into
//! any other. `legacy` reads the SQL registries of Glance and imports them in the same way.

mod args;
mod check;
mod dump;
mod error;
mod export;
mod import;
mod import_documents;
mod legacy;
mod purge;
mod records;
mod run;

pub use run::main;
