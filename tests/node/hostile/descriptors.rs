//! A process with few file descriptors, and clients that use them up.

use std::time::Duration;

use super::assert_only;
use crate::support::bytes::Chance;
use crate::support::http::{Connection, Request};
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::process::{cpu_time, open_fds};
use crate::support::server::Setup;
use crate::support::v1::{RAW, id_of, image_path, post};
use crate::support::{PATIENCE, md5_hex, within};

const MOST_FDS: u64 = 96;
const CONNECTIONS: usize = 250;

/// However many connections wait, descriptors remain for the requests of accepted ones.
#[test]
fn many_connections_leave_descriptors_for_active_requests() {
    let mut node = Setup::new().most_fds(MOST_FDS).start();
    let body = Chance::new(13).bytes(1 << 20);
    let id = node.upload(&[], &body);
    let path = format!("/v1/images/{id}");
    let mut first = node.connect();
    first.ask("GET", "/v1/images", "", b"").expect("an answer");
    let connections: Vec<Connection> = (0..CONNECTIONS).map(|_| node.connect()).collect();

    let before = cpu_time(node.pid()).expect("running");
    std::thread::sleep(Duration::from_secs(2));
    let used = cpu_time(node.pid()).expect("running") - before;
    assert!(used < Duration::from_millis(400), "busy: {used:?} in 2 s");

    for _ in 0..3 {
        let list = first.ask("GET", "/v1/images", "", b"").expect("an answer");
        assert_eq!(list.status, 200);
        let image = first.ask("GET", &path, "", b"").expect("an answer");
        assert_eq!(image.status, 200, "{}", image.text());
        assert!(image.body == body);
    }
    assert!((open_fds(node.pid()) as u64) < MOST_FDS);
    // The admin listener has its own share.
    assert!(node.metrics().contains("process_open_fds"));
    drop(connections);

    let recovered = || {
        let answer =
            Connection::open(node.address()).and_then(|mut wire| wire.ask("GET", &path, "", b""));
        answer.is_ok_and(|answer| answer.status == 200 && answer.body == body)
    };
    within(PATIENCE, "new clients are served again", recovered);
    assert!(node.is_running());
    node.expect_log("max_connections is lowered");
    assert_only(&node, &[&id]);
}

/// More readers of files and of remote images than there are descriptors.
#[test]
fn download_without_descriptors_is_rejected_before_its_head() {
    let origin = Origin::honest(Content::new(4, 1 << 20));
    let node = Setup::new()
        .most_fds(MOST_FDS)
        .option_in("import_filtering_opts", "allow_private_addresses", true)
        .option_in("import_filtering_opts", "allowed_ports", "")
        .start();
    let file = origin.content.all();
    let sum = md5_hex(&file);
    let headers = [
        ("x-image-meta-location", origin.url("/i")),
        ("x-image-meta-checksum", sum),
    ];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let linked = id_of(&node.request(&post(RAW).headers(&headers)).expect(201));
    let kept = node.upload(&[], &file);
    std::thread::scope(|scope| {
        for reader in 0..60 {
            let path = image_path([&linked, &kept][reader % 2]);
            let (node, file) = (&node, &file);
            scope.spawn(move || {
                let answer = node.ask("GET", &path, "", b"");
                match answer.status {
                    200 => assert!(answer.body == *file),
                    status => {
                        assert_eq!(status, 503, "{}", answer.text());
                        assert!(answer.header("retry-after").is_some());
                    }
                }
            });
        }
    });
}

/// No acceptor limits the connections of the admin listener.
#[test]
fn admin_listener_survives_many_connections() {
    let node = Setup::new().most_fds(MOST_FDS).start();
    let connections: Vec<Connection> = (0..CONNECTIONS).map(|_| node.connect_admin()).collect();
    std::thread::sleep(Duration::from_millis(300));
    assert!((open_fds(node.pid()) as u64) < MOST_FDS);
    node.ask("GET", "/v1/images", "", b"").expect(200);
    drop(connections);
    within(Duration::from_secs(5), "metrics are shown again", || {
        let answer = Connection::open(node.admin_address())
            .and_then(|mut wire| wire.ask("GET", "/metrics", "", b""));
        answer.is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn connections_above_max_connections_wait() {
    let node = Setup::new().option("max_connections", 20).start();
    let connections: Vec<Connection> = (0..60).map(|_| node.connect()).collect();
    std::thread::sleep(Duration::from_millis(300));
    assert!(open_fds(node.pid()) < 80, "{}", open_fds(node.pid()));
    let mut waiting = node.connect();
    waiting
        .send(&Request::get("/v1/images"))
        .expect("the kernel takes it");
    drop(connections);
    assert_eq!(waiting.read_response("GET").expect("an answer").status, 200);
}
