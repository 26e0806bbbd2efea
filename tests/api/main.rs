//! The API, tested from outside: the real server, raw bytes over a real socket.
//!
//! Files are named by route and verb: `images/create*.rs` tests `POST /v1/images`,
//! `images/download.rs` tests `GET /v1/images/{id}`. `program` tests the process. Most tests share
//! one server and read only images that they created; a test that needs other options or an empty
//! registry starts its own server.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod connections;
mod errors;
mod half_closed;
mod hosts;
mod identity;
mod images;
mod members;
mod program;
mod quota;
mod refused;
mod routes;
mod scrubber;
mod shared_images;
mod text;
mod unversioned;
mod versions;
