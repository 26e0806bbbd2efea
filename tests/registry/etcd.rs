//! API servers with etcd.

use std::time::{Duration, Instant};

use crate::support::etcd::Etcd;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{RAW, post, put};
use crate::support::within;

/// Starts API servers that share etcd and a folder of images.
fn nodes(
    etcd: &Etcd,
    count: usize,
    setup: impl Fn(Setup) -> Setup,
) -> (tempfile::TempDir, Vec<Server>) {
    let images = temp_folder();
    let node = |_| {
        let own = Setup::new().etcd(etcd).store_dir(images.path());
        setup(own).start()
    };
    let nodes = (0..count).map(node).collect();
    (images, nodes)
}

fn age_s(node: &Server) -> f64 {
    let metrics = node.metrics();
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix("glance_registry_index_age_seconds "));
    line.expect("the metric").parse().expect("a number")
}

#[test]
fn servers_see_the_writes_of_others() {
    let etcd = Etcd::start(1);
    let (_images, nodes) = nodes(&etcd, 2, |setup| setup);
    let [a, b] = &nodes[..] else { panic!("two") };
    for round in 0..20 {
        let id = a.upload(&[("x-image-meta-is_public", "True")], b"data");
        assert_eq!(b.download(&id).expect(200).body, b"data", "at once");
        let name = format!("name-{round}");
        a.request(&put(&id, &[("x-image-meta-name", &name)]))
            .expect(200);
        assert_eq!(a.head(&id).header("x-image-meta-name"), Some(&*name));
        within(Duration::from_secs(2), "the other sees the name", || {
            b.head(&id).header("x-image-meta-name") == Some(&*name)
        });
        let reserved = b.create(RAW);
        assert_eq!(a.status_of(&reserved), "queued", "at once");
        b.remove(&id).expect(200);
        within(
            Duration::from_secs(2),
            "the other sees the deletion",
            || a.download(&id).status == 404,
        );
    }
}

#[test]
fn reads_continue_without_etcd_up_to_the_limit() {
    let etcd = Etcd::start(1);
    let (_images, nodes) = nodes(&etcd, 1, |setup| {
        setup
            .option("etcd_read_limit", 8)
            .option("registry_client_timeout", 2)
    });
    let node = &nodes[0];
    let id = node.upload(&[("x-image-meta-is_public", "True")], b"kept");
    within(Duration::from_secs(3), "the age is small", || {
        age_s(node) < 2.0
    });
    etcd.kill(0);
    let answer = node.request(&post(RAW)).expect(503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(node.download(&id).expect(200).body, b"kept");
    assert_eq!(node.listed(""), [&*id]);
    node.request(&Request::get("/healthcheck")).expect(200);
    within(Duration::from_secs(10), "the age grows", || {
        age_s(node) > 4.0
    });
    within(Duration::from_secs(10), "it is too old", || {
        node.head(&id).status == 503
    });
    node.request(&Request::get("/v1/images")).expect(503);
    node.request(&Request::get("/healthcheck")).expect(503);
    etcd.restart(0);
    within(Duration::from_secs(20), "it is back", || {
        node.head(&id).status == 200
    });
    within(Duration::from_secs(20), "it is written again", || {
        node.request(&post(RAW)).status == 201
    });
}

#[test]
fn writes_continue_after_the_leader_is_lost() {
    let etcd = Etcd::start(3);
    let (_images, nodes) = nodes(&etcd, 1, |setup| setup);
    let node = &nodes[0];
    let mut kept = Vec::new();
    for member in 0..3 {
        kept.push(node.create(RAW));
        etcd.kill(member);
        let began = Instant::now();
        // A single 503 is acceptable: a client tries again.
        within(Duration::from_secs(15), "a write", || {
            let answer = node.request(&post(RAW));
            answer.status == 201
        });
        eprintln!(
            "without member {member}: a write after {:?}",
            began.elapsed()
        );
        etcd.restart(member);
        etcd.await_leader();
    }
    for id in kept {
        assert_eq!(node.status_of(&id), "queued");
    }
}

#[test]
fn records_are_read_again_after_a_compaction() {
    let etcd = Etcd::start(1);
    let (_images, mut nodes) = nodes(&etcd, 2, |setup| setup);
    let id = nodes[0].create(&[("x-image-meta-is_public", "True")]);
    within(Duration::from_secs(3), "the other knows it", || {
        !nodes[1].listed("").is_empty()
    });
    // The second server is stopped while the first one writes and etcd is compacted.
    nodes[1].signal("STOP");
    for name in ["x", "y", "z"] {
        nodes[0]
            .request(&put(&id, &[("x-image-meta-name", name)]))
            .expect(200);
    }
    let other = nodes[0].create(&[("x-image-meta-is_public", "True")]);
    // Its watch is cut, so that it starts a new one at a compacted revision.
    etcd.restart(0);
    etcd.await_leader();
    etcd.ctl(&["compact", &etcd.revision().to_string()]);
    nodes[1].signal("CONT");
    within(Duration::from_secs(20), "it has caught up", || {
        let listed = nodes[1].listed("");
        listed.contains(&other) && nodes[1].head(&id).header("x-image-meta-name") == Some("z")
    });
    nodes[1].restart();
    assert_eq!(nodes[1].listed("").len(), 2);
}

#[test]
fn quotas_hold_across_servers() {
    const QUOTA: usize = 20;
    let etcd = Etcd::start(1);
    let (_images, nodes) = nodes(&etcd, 3, |setup| setup.option("user_image_quota", QUOTA));
    let created: usize = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..9)
            .map(|racer| {
                let node = &nodes[racer % nodes.len()];
                scope.spawn(move || {
                    let tries = (0..6).map(|_| node.request(&post(RAW)).status);
                    tries
                        .inspect(|status| assert!([201, 413].contains(status), "{status}"))
                        .filter(|status| *status == 201)
                        .count()
                })
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().expect("a racer"))
            .sum()
    });
    assert_eq!(created, QUOTA, "neither more nor fewer");
    let ids = nodes[0].json("/v1/images/detail?is_public=None&limit=100");
    let id = ids["images"][0]["id"].as_str().expect("an id").to_owned();
    nodes[1].remove(&id).expect(200);
    nodes[2].request(&post(RAW)).expect(201);
    nodes[0].request(&post(RAW)).expect(413);
}
