//! The stores against the real servers they are made for.
//!
//! * `alike`: what all stores do alike.
//! * `backends`: the servers themselves do what the other tests take for granted.
//! * `file`: images in files, where the file system or the registry is not as usual.
//! * `harness`: so do the scripted origin and the gate, which bring the faults.
//! * `http`: images that HTTP servers hold, and sources that clients name.
//! * `memory`: what many uploads to other servers hold.
//! * `readme`: the configurations of the README, run.
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
