//! `glance-manage`: a registry as a whole, dumped, loaded and held against the stores.
//!
//! The SQL registries of Glance are loaded in the same way (`legacy`).
//!
//! Everything works over the trait of registries, whatever is behind it: a dump of one kind is
//! loaded into any other.

mod args;
mod check;
mod dump;
mod export;
mod failure;
mod import;
mod import_documents;
mod legacy;
mod purge;
mod records;
mod run;

pub use run::main;
