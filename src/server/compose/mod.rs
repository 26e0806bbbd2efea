//! Builds the components of a server from its configuration.
//!
//! `build` is the entry point. It returns an [`app::App`], which owns every component and the
//! background threads. The other files open one component each (registry, stores, cache,
//! authenticator, policy); `settings` derives the values that more than one of them needs.

pub(super) mod app;
pub(super) mod build;
pub(super) mod cache;
mod identity;
pub(super) mod open_stores;
pub(super) mod policy_files;
pub(super) mod registry;
pub(super) mod settings;
mod stores;
mod swift;
