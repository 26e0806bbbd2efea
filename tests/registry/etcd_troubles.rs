//! API servers with an etcd that was restored, stalls, is full, or has records of a newer release.

use std::time::Duration;

use crate::support::etcd::Etcd;
use crate::support::http::Request;
use crate::support::program::{Run, beside};
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{post, put};
use crate::support::within;

const PUBLIC: (&str, &str) = ("x-image-meta-is_public", "True");

/// Maximum time in which a server must notice a change that it checks every few seconds.
const NOTICED: Duration = Duration::from_secs(20);

fn metric(node: &Server, name: &str) -> Option<f64> {
    let metrics = node.metrics();
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

#[test]
fn restored_etcd_is_read_again() {
    let etcd = Etcd::start(1);
    let images = temp_folder();
    let node = || Setup::new().etcd(&etcd).store_dir(images.path()).start();
    let nodes = [node(), node()];
    let kept = nodes[0].create(&[PUBLIC]);
    let renamed = nodes[0].create(&[PUBLIC, ("x-image-meta-name", "before")]);
    let backup = etcd.back_up(0);
    within(NOTICED, "etcd is back", || {
        nodes[0]
            .request(&put(&renamed, &[("x-image-meta-name", "after")]))
            .status
            == 200
    });
    let lost: Vec<_> = (0..20).map(|_| nodes[0].create(&[PUBLIC])).collect();
    for node in &nodes {
        within(NOTICED, "both know all", || {
            node.listed("limit=99").len() == 22
        });
    }
    etcd.restore(0, &backup);
    let mut before = vec![kept.clone(), renamed.clone()];
    before.sort();
    for node in &nodes {
        within(NOTICED, "the list is the restored one", || {
            let list = node.request(&Request::get("/v1/images?limit=99"));
            if list.status != 200 {
                return false;
            }
            let mut ids = crate::support::v1::ids_of(&list);
            ids.sort();
            ids == before
        });
        assert_eq!(
            node.head(&renamed).header("x-image-meta-name"),
            Some("before")
        );
        node.download(&lost[0]).expect(404);
        assert_eq!(metric(node, "glance_registry_restored_total"), Some(1.0));
        node.expect_log("etcd was restored from a backup or replaced");
        node.request(&Request::get("/healthcheck")).expect(200);
    }
    // Writes continue, and each server sees those of the other.
    nodes[1].remove(&kept).expect(200);
    within(NOTICED, "the other sees the deletion", || {
        nodes[0].listed("") == [&*renamed]
    });
}

#[test]
fn quota_holds_while_etcd_stalls() {
    let etcd = Etcd::start(1);
    let images = temp_folder();
    let node = || {
        let setup = Setup::new().etcd(&etcd).store_dir(images.path());
        setup.option("user_image_quota", 10).start()
    };
    let nodes = [node(), node()];
    for _ in 0..8 {
        nodes[0].create(&[PUBLIC]);
    }
    // Longer than the timeout of an attempt, so that no server knows the outcome of its writes.
    etcd.signal(0, "STOP");
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let nodes = &nodes;
        let post_to =
            |number: usize| scope.spawn(move || nodes[number % 2].request(&post(&[PUBLIC])).status);
        let posts: Vec<_> = (0..8).map(post_to).collect();
        std::thread::sleep(Duration::from_secs(4));
        etcd.signal(0, "CONT");
        let answers = posts.into_iter().map(|post| post.join().expect("no panic"));
        answers.collect()
    });
    let created = answers.iter().filter(|status| **status == 201).count();
    within(NOTICED, "both see the same", || {
        nodes[0].listed("limit=99") == nodes[1].listed("limit=99")
    });
    let there = nodes[0].listed("limit=99").len();
    assert!(there <= 10, "{there} images, answers {answers:?}");
    assert!(created <= 2, "{answers:?}");
    assert!(
        answers
            .iter()
            .all(|status| [201, 413, 503].contains(status)),
        "{answers:?}"
    );
}

#[test]
fn full_etcd_refuses_writes_at_once_and_is_reported() {
    let etcd = Etcd::start_small(1 << 20);
    let setup = Setup::new()
        .etcd(&etcd)
        .option("registry_client_timeout", 60);
    let node = setup.start();
    node.create(&[PUBLIC]);
    let healthy = || node.request(&Request::get("/healthcheck")).status == 200;
    assert!(healthy());
    let filler = "x".repeat(100_000);
    for number in 0..40 {
        etcd.run_ctl(&["put", &format!("/filler/{number}"), &filler]);
    }
    let began = std::time::Instant::now();
    let answer = node.request(&post(&[PUBLIC])).expect(503);
    assert!(answer.header("retry-after").is_some());
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    node.expect_log("database space exceeded");
    assert!(!healthy());
    within(NOTICED, "the metric says so", || {
        metric(&node, "glance_registry_refuses_writes") == Some(1.0)
    });
    // Reads continue.
    assert_eq!(node.listed("").len(), 1);
    etcd.ctl(&["del", "--prefix", "/filler/"]);
    etcd.ctl(&["compact", &etcd.revision().to_string()]);
    etcd.ctl(&["defrag"]);
    etcd.ctl(&["alarm", "disarm"]);
    within(NOTICED, "health is back without a request", healthy);
    node.create(&[PUBLIC]);
}

#[test]
fn records_of_a_newer_release_are_reported_and_not_served() {
    let etcd = Etcd::start(1);
    let node = Setup::new().etcd(&etcd).start();
    let id = node.upload(&[PUBLIC], b"data");
    let kept = node.create(&[PUBLIC]);
    // The first byte of a record is its format number.
    let key = format!("/glance/images/{id}");
    etcd.ctl(&["put", &key, "2 a record of a newer release"]);
    within(NOTICED, "it is in no list", || node.listed("") == [&*kept]);
    node.download(&id).expect(500);
    node.expect_log("cannot be read by this release");
    assert_eq!(
        metric(&node, "glance_registry_unreadable_records"),
        Some(1.0)
    );
    // The dump lacks the record, and the export fails with a message.
    let dump = node.folder().join("registry.dump");
    let mut export = beside(&node, env!("CARGO_BIN_EXE_glance-manage"));
    let config = node.config_file();
    export
        .arg("--config-file")
        .arg(config)
        .arg("export")
        .arg(&dump);
    let run = Run::of(&mut export).expect(1);
    run.says(&id).says("cannot be read");
}
