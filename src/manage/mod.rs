//! `glance-manage`: a registry as a whole, dumped and loaded.
//!
//! Everything works over the trait of registries, whatever is behind it: a dump of one kind is
//! loaded into any other.

mod args;
mod dump;
mod export;
mod failure;
mod import;
mod run;

pub use run::main;
