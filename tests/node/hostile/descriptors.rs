//! A process that may open few files, and clients that use them up.

use std::time::Duration;

use super::assert_only;
use crate::support::bytes::Chance;
use crate::support::http::{Connection, Request};
use crate::support::process::{cpu_time, open_fds};
use crate::support::server::Setup;
use crate::support::{PATIENCE, within};

const MOST_FDS: u64 = 96;
const CONNECTIONS: usize = 250;

#[test]
fn without_descriptors_accepting_pauses_and_recovers() {
    let mut node = Setup::new().most_fds(MOST_FDS).start();
    let body = Chance::new(13).bytes(1 << 20);
    let id = node.upload(&[], &body);
    let mut first = node.connect();
    first.ask("GET", "/v1/images", "", b"").expect("an answer");
    let crowd: Vec<Connection> = (0..CONNECTIONS).map(|_| node.connect()).collect();
    within(PATIENCE, "the descriptors are used up", || {
        open_fds(node.pid()) as u64 >= MOST_FDS - 1
    });

    let before = cpu_time(node.pid()).expect("running");
    std::thread::sleep(Duration::from_secs(2));
    let used = cpu_time(node.pid()).expect("running") - before;
    assert!(used < Duration::from_millis(400), "busy: {used:?} in 2 s");

    // Who is in is served, also where that needs a file there is no descriptor for.
    let list = first.ask("GET", "/v1/images", "", b"").expect("an answer");
    assert_eq!(list.status, 200);
    let path = format!("/v1/images/{id}");
    let refused = first.ask("GET", &path, "", b"").expect("an answer");
    assert!(
        matches!(refused.status, 200 | 500 | 503),
        "{}",
        refused.status
    );
    drop(crowd);

    let recovered = || {
        let answer =
            Connection::open(node.address()).and_then(|mut wire| wire.ask("GET", &path, "", b""));
        answer.is_ok_and(|answer| answer.status == 200 && answer.body == body)
    };
    within(PATIENCE, "new clients are served again", recovered);
    assert!(node.is_running());
    node.expect_log("could not be accepted");
    // The operator's listener has lived through it too.
    assert!(node.metrics().contains("process_open_fds"));
    assert_only(&node, &[&id]);
}

/// The operator's listener has nobody in front of it that counts connections.
#[test]
fn the_operators_listener_outlives_a_shortage() {
    let node = Setup::new().most_fds(MOST_FDS).start();
    let crowd: Vec<Connection> = (0..CONNECTIONS).map(|_| node.connect_admin()).collect();
    within(PATIENCE, "the descriptors are used up", || {
        open_fds(node.pid()) as u64 >= MOST_FDS - 1
    });
    drop(crowd);
    within(Duration::from_secs(5), "metrics are shown again", || {
        let answer = Connection::open(node.admin_address())
            .and_then(|mut wire| wire.ask("GET", "/metrics", "", b""));
        answer.is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn past_max_connections_clients_wait_for_their_turn() {
    let node = Setup::new().option("max_connections", 20).start();
    let crowd: Vec<Connection> = (0..60).map(|_| node.connect()).collect();
    std::thread::sleep(Duration::from_millis(300));
    assert!(open_fds(node.pid()) < 80, "{}", open_fds(node.pid()));
    let mut waiting = node.connect();
    waiting
        .send(&Request::get("/v1/images"))
        .expect("the kernel takes it");
    drop(crowd);
    assert_eq!(waiting.read_response("GET").expect("an answer").status, 200);
}
