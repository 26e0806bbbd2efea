//! `glance-manage check`: registries and stores that differ.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::manage;
use crate::support::eventually;
use crate::support::http::{Connection, Request};
use crate::support::program::Run;
use crate::support::server::{STAGING, Server, Setup};
use crate::support::v1::{OCTETS, RAW, post};

/// The option that reports findings of any age.
const ANY_AGE: &str = "--older-than=0";

#[track_caller]
fn check(server: &Server, words: &[&str]) -> Run {
    manage(server, &[&["check"], words].concat())
}

/// Returns the findings and the totals of a check with `--json`.
#[track_caller]
fn findings(run: &Run) -> (Vec<Value>, Value) {
    let lines = run.out.lines();
    let mut lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let numbers = lines.pop().expect("numbers");
    (lines, numbers)
}

fn kinds(findings: &[Value]) -> Vec<&str> {
    let kinds = findings.iter().map(|finding| finding["finding"].as_str());
    kinds.map(|kind| kind.expect("a kind")).collect()
}

fn files(server: &Server) -> Vec<PathBuf> {
    let files = server.stored_files().into_iter();
    files.map(|(path, _)| path).collect()
}

#[test]
fn missing_data_and_wrong_sizes_are_found() {
    let mut server = Setup::new().start();
    let kept = server.upload(&[], b"kept");
    let lost = server.upload(&[], b"lost");
    let changed = server.upload(&[], b"changed");
    check(&server, &[])
        .expect(0)
        .says("3 images checked: 0 findings, 0 repaired");
    let store = server.store_dir();
    fs::remove_file(store.join(&lost)).unwrap();
    fs::write(store.join(&changed), "other").unwrap();
    // While the server runs, and while it does not.
    let running = check(&server, &["--json"]).expect(2);
    server.stop();
    let run = check(&server, &["--json"]).expect(2);
    assert_eq!(run.out, running.out);
    let (found, numbers) = findings(&run);
    let by_image = |id: &str| {
        found
            .iter()
            .find(|finding| finding["image"] == *id)
            .cloned()
    };
    let common = |kind: &str, id: &str, bytes: u64| {
        json!({"finding": kind, "image": id, "store": "file", "status": "active",
               "expected_bytes": bytes})
    };
    assert_eq!(by_image(&lost), Some(common("missing", &lost, 4)));
    let mut wrong = common("wrong-size", &changed, 7);
    wrong["found_bytes"] = json!(5);
    assert_eq!(by_image(&changed), Some(wrong));
    assert_eq!(numbers, json!({"images": 3, "findings": 2, "repaired": 0}));

    // `--repair` repairs orphans and uploads only, so these findings remain.
    check(&server, &["--repair"]).expect(2);
    // Deactivation does not restore the data, so the findings remain.
    let run = check(&server, &["--repair=images"]).expect(2);
    run.says("2 findings, 0 repaired").says("deactivated");
    // No data of an image were removed.
    assert_eq!(fs::read(store.join(&changed)).unwrap(), b"other");
    server.start();
    for id in [&lost, &changed] {
        assert_eq!(server.status_of(id), "deactivated");
        server.download(id).expect(403);
    }
    assert_eq!(server.download(&kept).expect(200).body, b"kept");
    // The data are missing until the images are deleted.
    check(&server, &[]).expect(2).says("(deactivated)");
    for id in [&lost, &changed] {
        server.remove(id).expect(200);
    }
    check(&server, &[]).expect(0);
}

#[test]
fn changed_data_are_found_by_reading() {
    let server = Setup::new().start();
    let kept = server.upload(&[], &vec![1; 100_000]);
    let wrong = server.upload(&[], b"lost");
    check(&server, &["--data"]).expect(0);
    fs::write(server.store_dir().join(&wrong), "cost").unwrap();
    // The size is right, so only `--data` finds the change.
    check(&server, &[]).expect(0);
    let run = check(&server, &["--data"]).expect(2);
    run.says(&wrong).says("do not match its checksum");
    let (found, _) = findings(&check(&server, &["--data", "--json"]).expect(2));
    assert_eq!(kinds(&found), ["damaged"]);
    assert_ne!(found[0]["image"], json!(kept));
}

#[test]
fn unmounted_store_causes_no_repair() {
    let mut server = Setup::new().start();
    let ids = [server.upload(&[], b"one"), server.upload(&[], b"two")];
    server.stop();
    let (store, aside) = (server.store_dir(), server.folder().join("aside"));
    fs::rename(&store, &aside).unwrap();
    check(&server, &["--repair=images"])
        .expect(1)
        .says("is it mounted?");
    assert!(!store.exists());
    // The folder on which the store should be mounted.
    fs::create_dir(&store).unwrap();
    check(&server, &["--repair=images"])
        .expect(2)
        .says("is it mounted?")
        .says("0 repaired");
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&aside, &store).unwrap();
    check(&server, &[]).expect(0);
    server.start();
    assert!(ids.iter().all(|id| server.status_of(id) == "active"));
}

#[test]
fn data_without_an_image_are_removed() {
    let mut server = Setup::new().start();
    let kept = server.upload(&[], b"kept");
    let queued = server.create(RAW);
    server.stop();
    let store = server.store_dir();
    let orphan = uuid::Uuid::new_v4().to_string();
    let staged = format!("{STAGING}/{}", uuid::Uuid::new_v4());
    for name in [orphan.as_str(), &staged, &queued, "not-ours"] {
        fs::write(store.join(name), "left").unwrap();
    }
    // They are recent, and may belong to an upload in progress.
    check(&server, &["--repair"]).expect(0);
    let run = check(&server, &["--json", ANY_AGE]).expect(2);
    let (found, numbers) = findings(&run);
    assert_eq!(kinds(&found), ["orphan"; 3]);
    assert_eq!(numbers, json!({"images": 2, "findings": 3, "repaired": 0}));
    assert!(run.out.contains(&orphan) && !run.out.contains("not-ours"));
    // While a server has the registry open nothing is repaired, since an upload may be in progress.
    server.start();
    check(&server, &["--repair", ANY_AGE])
        .expect(1)
        .says("is in use");
    server.stop();
    // A queued image may receive data at any time.
    let run = check(&server, &["--repair", ANY_AGE]).expect(2);
    run.says("3 findings, 2 repaired").says(&queued);
    let mut wanted = [kept.as_str(), &queued, "not-ours"].map(PathBuf::from);
    wanted.sort();
    assert_eq!(files(&server), wanted);
    fs::remove_file(store.join(&queued)).unwrap();
    server.start();
    assert_eq!(server.download(&kept).expect(200).body, b"kept");
}

/// An administrator may have set a location that is named after another image.
#[test]
fn data_named_after_another_image_are_kept() {
    let mut server = Setup::new().start();
    let id = server.upload(&[], b"data");
    manage(&server, &["export", "a.dump"]).expect(0);
    server.stop();
    let dump = fs::read_to_string(server.folder().join("a.dump")).unwrap();
    let other = uuid::Uuid::new_v4().to_string();
    let store = server.store_dir();
    let path = |id: &str| store.join(id).to_str().unwrap().to_owned();
    let moved = with_crc(&dump.replace(&path(&id), &path(&other)));
    fs::write(server.folder().join("b.dump"), moved).unwrap();
    manage(&server, &["import", "b.dump", "--merge", "replace"])
        .expect(0)
        .says("1 replaced");
    fs::rename(store.join(&id), store.join(&other)).unwrap();
    check(&server, &["--repair", ANY_AGE]).expect(0);
    server.start();
    assert_eq!(server.download(&id).expect(200).body, b"data");
}

fn with_crc(dump: &str) -> String {
    let (images, end) = dump.trim_end().rsplit_once('\n').expect("an end");
    let images = format!("{images}\n");
    let mut end: Value = serde_json::from_str(end).expect("JSON");
    end["end"]["crc32c"] = json!(format!("{:08x}", crc32c::crc32c(images.as_bytes())));
    format!("{images}{end}\n")
}

#[test]
fn abandoned_upload_is_killed() {
    let mut server = Setup::new().start();
    let id = begin_upload(&server);
    let staged = eventually("something is staged", || files(&server).pop());
    assert!(staged.starts_with(STAGING), "{staged:?}");
    // While it is in progress it is neither an orphan nor stale.
    check(&server, &["--json"]).expect(0);
    server.kill();
    check(&server, &[]).expect(0);
    let run = check(&server, &["--json", ANY_AGE]).expect(2);
    let (found, _) = findings(&run);
    assert_eq!(kinds(&found), ["stale-upload"]);
    assert_eq!(found[0]["image"], json!(id));
    check(&server, &["--repair", ANY_AGE])
        .expect(0)
        .says("killed");
    assert_eq!(files(&server), [] as [&Path; 0]);
    check(&server, &[ANY_AGE]).expect(0);
    server.start();
    assert_eq!(server.status_of(&id), "killed");
}

/// Sends a part of an image and stops without closing the connection.
fn begin_upload(server: &Server) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let upload = post(RAW)
        .headers(&[OCTETS, ("x-image-meta-id", &id)])
        .announce(1_000_000);
    let mut connection: Connection = server.connect();
    connection.send_head(&upload).expect("sent");
    connection.send_bytes(&[7; 500_000]).expect("sent");
    std::mem::forget(connection);
    let probe = Request::head(&format!("/v1/images/{id}"));
    eventually("it is saving", || {
        let answer = server.request(&probe);
        (answer.status == 200).then_some(())
    });
    id
}

#[test]
fn missing_data_of_pending_delete_are_found() {
    let setup = Setup::new().option("delayed_delete", true);
    let mut server = setup.option("scrub_in_api", false).start();
    let pending = server.upload(&[], b"data");
    server.remove(&pending).expect(200);
    server.stop();
    let file = server.store_dir().join(&pending);
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    // The image may be restored, and then its data would be missing.
    check(&server, &[]).expect(2).says(&format!(
        "image {pending} (pending_delete): its data are not"
    ));
    fs::write(&file, bytes).unwrap();
    check(&server, &[]).expect(0);

    manage(&server, &["export", "a.dump"]).expect(0);
    let dump = fs::read_to_string(server.folder().join("a.dump")).unwrap();
    let folder = server.store_dir().display().to_string();
    for elsewhere in ["file:///elsewhere", "rbd://user:CANARY@pool"] {
        let moved = with_crc(&dump.replace(&format!("file://{folder}"), elsewhere));
        fs::write(server.folder().join("b.dump"), moved).unwrap();
        manage(&server, &["import", "b.dump", "--merge", "replace"])
            .expect(0)
            .says("1 replaced");
        // Data in a store that is not configured must neither be removed nor reported as missing.
        let run = check(&server, &["--repair=orphans,images", ANY_AGE]).expect(2);
        let run = run.says("is not known");
        assert!(!run.out.contains("CANARY") && !run.err.contains("CANARY"));
        assert!(file.exists());
    }
}
