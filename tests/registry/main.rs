//! Registries that several servers share, `glance-registry` and etcd, and the stored forms of all
//! registries.
//!
//! * `api`: the registry API of Glance, as other API servers use it.
//! * `alike`: the image API behaves the same with every registry.
//! * `abandoned`: uploads of a server that does not return.
//! * `conformance`: the behaviour that every registry must have.
//! * `remote`: API servers with a registry server that is sometimes unreachable.
//! * `etcd`: API servers with an etcd that is unreachable, loses its leader or is compacted.
//! * `etcd_troubles`: an etcd that was restored, stalls, is full, or has newer records.
//! * `many`: a server with an etcd that has many images.
//! * `secured`: API servers with an etcd that authenticates clients.
//! * `first_release`: registries and dumps that the first release has written.
//! * `full_records`: images with the maximum size of metadata.
//! * `other_make`: API servers with a registry server that speaks the legacy protocol.
//! * `lost_copy`: folders of the first release that have lost one of their two copies.
//! * `loopback`: the cluster that `deploy/loopback/run` starts.
//! * `model`: many clients of several servers that are killed at random.
//! * `namesakes`: two servers with the same name.
//! * `reload`: servers that are replaced while they serve.
//!
//! Tests that need etcd are compiled with the feature `etcd`.

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
mod lost_copy;
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

/// Starts an upload of eight bytes at one server, sends four of them, and waits until another
/// server sees that the image is being saved.
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
