//! Registries that servers share: `glance-registry`, and etcd.
//!
//! * `api`: what a registry server says to API servers of another make.
//! * `alike`: the image API is the same, wherever records are.
//! * `conformance`: what every registry must do.
//! * `remote`: API servers on a registry server, which may be away.
//! * `etcd`: API servers on etcd, which may be away, lose its leader, or forget the past.
//! * `model`: many clients at several servers, any of which is killed at any time.
//!
//! What needs etcd is there when the tests are built with the feature `etcd`.

#[path = "../support/mod.rs"]
mod support;

mod alike;
mod api;
mod conformance;
#[cfg(feature = "etcd")]
mod etcd;
mod model;
mod remote;
