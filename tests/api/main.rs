//! The API, tested from outside: the real server, raw bytes over a real socket.
//!
//! Filed by route and verb: what `POST /v1/images` should do stands in `images/create*.rs`, what
//! `GET /v1/images/{id}` should do in `images/download.rs`. `program` has what concerns the
//! process. Most tests share one server and look only at images they made themselves; who
//! needs other options or an empty registry starts a server of its own.

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
