//! Access: identities in the headers of a trusted proxy, whose part this test plays.
//!
//! `matrix` tries every operation on every kind of image as every kind of caller and compares the
//! responses with `oracle`, which is written from the description of Glance and shares no code with
//! the program. `trusted_auth` tests the headers themselves, `keystone` tokens, `caches` caches
//! between clients and the server, `policy` and `properties` the operator's rule files.

mod caches;
mod cast;
mod keystone;
mod matrix;
mod oracle;
mod policy;
mod properties;
mod trusted_auth;
