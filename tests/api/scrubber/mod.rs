//! Delayed deletion: the scrubber in the server, `glance-scrubber`, and restoration.

mod in_server;
mod operator;
mod program;
mod restart;
mod restore;

use crate::support::eventually;
use crate::support::server::{Server, Setup};

/// A server whose deleted images wait until a scrubber runs.
fn delaying() -> Setup {
    let setup = Setup::new().option("delayed_delete", true);
    setup.option("scrub_in_api", false)
}

/// A deleted image with data that waits for the scrubber.
#[track_caller]
fn pending(server: &Server) -> String {
    let id = server.upload(&[("x-image-meta-is_public", "True")], b"data");
    server.remove(&id).expect(200);
    assert_eq!(server.status_of(&id), "pending_delete");
    id
}

#[test]
fn administrators_list_pending_images() {
    let server = delaying().start();
    let kept = server.upload(&[("x-image-meta-is_public", "True")], b"kept");
    let public = pending(&server);
    let private = server.upload(&[], b"private");
    server.remove(&private).expect(200);
    let listed = |query: &str| {
        let mut ids = server.listed(query);
        ids.sort();
        ids
    };
    let mut waiting = vec![public, private];
    waiting.sort();
    assert_eq!(listed("status=pending_delete"), waiting);
    assert_eq!(listed("deleted=True"), waiting);
    assert_eq!(listed("deleted=False"), [&*kept]);
    assert_eq!(listed(""), [&*kept]);
    let mut all = waiting.clone();
    all.push(kept);
    all.sort();
    assert_eq!(listed("deleted=None"), all);
    assert_eq!(listed("status=pending_delete&limit=1").len(), 1);
}

/// Waits until no data of any image are left.
#[track_caller]
fn await_empty(server: &Server) {
    eventually("everything is removed", || {
        server.stored_files().is_empty().then_some(())
    });
}
