//! Registries that servers share: `glance-registry`, and etcd.
//!
//! * `api`: what a registry server says to API servers of another make.
//! * `alike`: the image API is the same, wherever records are.
//! * `abandoned`: uploads of a server that never comes back.
//! * `conformance`: what every registry must do.
//! * `remote`: API servers on a registry server, which may be away.
//! * `etcd`: API servers on etcd, which may be away, lose its leader, or forget the past.
//! * `etcd_troubles`: an etcd that was restored, stalls, is full, or has newer records.
//! * `many`: a server on etcd that has many images.
//! * `secured`: API servers on an etcd that asks who they are.
//! * `first_release`: registries and dumps that the first release wrote.
//! * `full_records`: images with as much metadata as a record holds.
//! * `other_make`: API servers on a registry server of another make.
//! * `loopback`: the cluster that `deploy/loopback/run` starts.
//! * `model`: many clients at several servers, any of which is killed at any time.
//! * `namesakes`: two servers that were given one name.
//! * `reload`: servers that are replaced while they serve.
//!
//! What needs etcd is there when the tests are built with the feature `etcd`.

#[path = "../support/mod.rs"]
mod support;

mod abandoned;
mod alike;
mod api;
mod conformance;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "etcd")]
mod etcd_troubles;
mod first_release;
mod full_records;
#[cfg(feature = "etcd")]
mod loopback;
#[cfg(feature = "etcd")]
mod many;
mod model;
mod namesakes;
mod other_make;
mod reload;
mod remote;
#[cfg(feature = "etcd")]
mod secured;

use support::http::Connection;
use support::server::Server;
use support::v1::{OCTETS, put};
use support::{PATIENCE, within};

/// An upload of eight bytes at one server, four of which are sent; another one sees that it is
/// under way.
#[track_caller]
fn half_an_upload(node: &Server, other: &Server) -> (String, Connection) {
    let id = node.reserve();
    let mut upload = node.connect();
    let request = put(&id, &[OCTETS]).header("Content-Length", "8");
    upload.send_head(&request).expect("a head");
    upload.send_bytes(b"half").expect("half");
    within(PATIENCE, "it is saving", || {
        other.status_of(&id) == "saving"
    });
    (id, upload)
}
