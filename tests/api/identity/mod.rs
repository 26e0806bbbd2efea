//! Who may do what: identities in the headers of a trusted proxy, which this test is.
//!
//! `matrix` asks everything of every kind of image as every kind of caller, and compares with
//! `oracle`, which is written from the description of Glance and knows nothing of this
//! program. `trusted_auth` has what concerns the headers themselves, `keystone` what concerns
//! tokens, `caches` what is between clients and the server. `policy` and `properties` have the files by which an operator narrows all that.

mod caches;
mod cast;
mod keystone;
mod matrix;
mod oracle;
mod policy;
mod properties;
mod trusted_auth;
