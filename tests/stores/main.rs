//! Tests of the stores against real servers.
//!
//! * `alike`: behaviour that all stores share.
//! * `backends`: the servers themselves behave as the other tests assume.
//! * `file`: images in files, on unusual file systems or with a lost registry.
//! * `harness`: the scripted origin and the gate, which inject the faults, behave as assumed.
//! * `http`: images on HTTP servers, and sources that clients name.
//! * `memory`: the memory of many uploads to other servers.
//! * `readme`: the configurations in the README work.
//! * `s3`: images in S3.
//! * `swift`: images in Swift.

#[path = "../support/mod.rs"]
mod support;

mod alike;
mod backends;
mod file;
mod harness;
mod http;
mod memory;
mod readme;
mod s3;
mod swift;
