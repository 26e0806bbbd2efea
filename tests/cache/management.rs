//! Management of the cache by operators.

use std::process::{Command, Output};

use serde_json::{Value, json};

use super::listed::{CACHED, QUEUED, ask, cached};
use super::node::{MIB, answers, caching, files, fills, locate, metric, patient};
use super::reader::{Reader, read_image};
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::origin::answer::{Answer, Hold};
use crate::support::origin::content::Content;
use crate::support::server::Server;
use crate::support::v1::id_of;
use crate::support::v1::post_data;

#[test]
fn cached_images_are_listed_and_deleted() {
    let node = caching().start();
    let origins = [1, 2, 3].map(|seed| Origin::honest(Content::new(seed, MIB)));
    let mut ids = [0, 1, 2].map(|index: usize| locate(&node, &origins[index]));
    ids.sort();
    assert_eq!(cached(&node), Vec::<Value>::new());
    for (id, origin) in ids.iter().zip(&origins) {
        let _ = origin;
        assert!(ask(&node, "GET", &format!("/v1/images/{id}")).status == 200);
    }
    eventually("all are kept", || (fills(&node, "kept") == 3).then_some(()));
    for _ in 0..2 {
        ask(&node, "GET", &format!("/v1/images/{}", ids[1])).expect(200);
    }
    // HEAD does not use the cache.
    ask(&node, "HEAD", &format!("/v1/images/{}", ids[1])).expect(200);
    let list = cached(&node);
    let of = |name: &str| -> Vec<Value> { list.iter().map(|entry| entry[name].clone()).collect() };
    assert_eq!(of("image_id"), ids);
    assert_eq!(of("hits"), [0, 2, 0]);
    assert_eq!(of("size"), [MIB; 3]);
    for entry in &list {
        assert_eq!(entry.as_object().expect("an object").len(), 5);
        let accessed = entry["last_accessed"].as_f64().expect("a time");
        assert!(entry["last_modified"].as_f64().expect("a time") <= accessed + 0.01);
        assert!(accessed > 1.7e9);
    }
    for _ in 0..2 {
        let deleted = ask(&node, "DELETE", &format!("{CACHED}/{}", ids[0])).expect(200);
        assert_eq!(deleted.text(), "null");
    }
    assert_eq!(cached(&node).len(), 2);
    let deleted = ask(&node, "DELETE", CACHED).expect(200).json();
    assert_eq!(deleted, json!({ "num_deleted": 2 }));
    assert_eq!(cached(&node), Vec::<Value>::new());
    eventually("the files are gone", || {
        files(&node).is_empty().then_some(())
    });
}

#[test]
fn image_deleted_during_its_fill_is_served_and_not_cached() {
    const SIZE_BYTES: u64 = 2 * MIB;
    let hold = Hold::default();
    let holding = hold.clone();
    let origin = Origin::start(Content::new(4, SIZE_BYTES), move |seen| {
        match (&*seen.method, seen.turn) {
            ("GET", 0) => Answer::whole().hold_after(MIB, &holding),
            _ => Answer::whole(),
        }
    });
    let node = patient().start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    let first = Reader::send(node.address(), &id, "").expect("sent");
    let first = first.answered();
    ask(&node, "DELETE", &format!("{CACHED}/{id}")).expect(200);
    // A new reader starts another fill, which is cached; the first reader continues with the first
    // fill.
    assert!(read_image(node.address(), &id, &all).is_good());
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
    hold.release();
    assert!(first.read(&all, u64::MAX).is_good());
    eventually("the first is dropped", || {
        (fills(&node, "dropped") == 1).then_some(())
    });
    assert!(read_image(node.address(), &id, &all).is_good());
    assert_eq!((answers(&node, "miss"), answers(&node, "hit")), (2, 1));
    eventually("one is there and counted", || {
        let counted = ["kept", "filling", "leaving"]
            .map(|state| metric(&node, &format!("glance_cache_bytes{{state=\"{state}\"}}")));
        (files(&node).len() == 1 && counted == [SIZE_BYTES, 0, 0]).then_some(())
    });
}

#[test]
fn management_is_disabled_without_its_middleware() {
    let node = caching()
        .option_in("paste_deploy", "flavor", "caching")
        .start();
    for (method, path) in [
        ("GET", CACHED),
        ("DELETE", CACHED),
        ("GET", QUEUED),
        ("PUT", QUEUED),
    ] {
        ask(&node, method, path).expect(404);
    }
    let failed = manage(&node, &["list-cached"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("cachemanagement"));
    // The cache itself works.
    let origin = Origin::honest(Content::new(8, MIB));
    let id = locate(&node, &origin);
    assert!(read_image(node.address(), &id, &origin.content.all()).is_good());
    assert_eq!(answers(&node, "miss"), 1);
}

#[test]
fn images_of_the_file_store_are_not_cached() {
    let node = caching().start();
    let id = id_of(&node.request(&post_data(&[], &[7; 100_000])).expect(201));
    ask(&node, "GET", &format!("/v1/images/{id}")).expect(200);
    assert_eq!(cached(&node), Vec::<Value>::new());
    let answered = ["hit", "miss", "coalesced", "bypass"].map(|result| answers(&node, result));
    assert_eq!(answered, [0; 4]);
}

fn manage(node: &Server, words: &[&str]) -> Output {
    let address = node.address();
    Command::new(env!("CARGO_BIN_EXE_glance-cache-manage"))
        .args([
            "-H",
            &address.ip().to_string(),
            "-p",
            &address.port().to_string(),
        ])
        .args(words)
        .env_clear()
        .output()
        .expect("the program runs")
}

#[track_caller]
fn managed(node: &Server, words: &[&str]) -> String {
    let output = manage(node, words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn cache_manage_program_matches_the_api() {
    let node = caching().start();
    assert_eq!(managed(&node, &["list-cached"]), "No cached images.\n");
    assert_eq!(managed(&node, &["list-queued"]), "No queued images.\n");
    let origin = Origin::honest(Content::new(9, MIB));
    let id = locate(&node, &origin);
    let queued = managed(&node, &["queue-image", &id]);
    assert_eq!(queued, format!("Queued image {id} for caching\n"));
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
    let list = managed(&node, &["list-cached"]);
    assert!(list.starts_with("Found 1 cached images...\nID "), "{list}");
    assert!(list.contains(&id) && list.contains("1048576"), "{list}");
    // The node is stopped.
    assert_eq!(
        manage(&node, &["delete-cached-image", &id]).status.code(),
        Some(2)
    );
    managed(&node, &["-f", "delete-cached-image", &id]);
    assert_eq!(
        managed(&node, &["-f", "delete-all-cached-images"]),
        "Deleted 0 cached images\n"
    );
    managed(&node, &["-f", "delete-queued-image", &id]);
    assert_eq!(
        managed(&node, &["-f", "delete-all-queued-images"]),
        "Deleted 0 queued images\n"
    );
    assert_eq!(cached(&node), Vec::<Value>::new());
    assert_eq!(metric(&node, "glance_cache_images"), 0);
}
