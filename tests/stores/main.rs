//! The stores against the real servers they are made for.
//!
//! * `backends`: the servers themselves do what the other tests take for granted.

#[path = "../support/mod.rs"]
mod support;

mod backends;
