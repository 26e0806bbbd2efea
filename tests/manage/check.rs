//! Registries and stores that do not agree.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::manage;
use crate::support::eventually;
use crate::support::http::{Connection, Request};
use crate::support::program::Run;
use crate::support::server::{STAGING, Server, Setup};
use crate::support::v1::{OCTETS, RAW, post};

/// What is found is of any age.
const ANY_AGE: &str = "--older-than=0";

#[track_caller]
fn check(server: &Server, words: &[&str]) -> Run {
    manage(server, &[&["check"], words].concat())
}

/// Its findings, and the numbers at the end.
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
fn data_that_are_gone_or_of_another_size() {
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
    // Of a node that runs, and of one that does not.
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

    // Only what was asked for is mended: these are no orphans.
    check(&server, &["--repair"]).expect(2);
    // Deactivation brings no data back, so this ends as the next check does.
    let run = check(&server, &["--repair=images"]).expect(2);
    run.says("2 findings, 0 repaired").says("deactivated");
    // Nothing that an image has was removed.
    assert_eq!(fs::read(store.join(&changed)).unwrap(), b"other");
    server.start();
    for id in [&lost, &changed] {
        assert_eq!(server.status_of(id), "deactivated");
        server.download(id).expect(403);
    }
    assert_eq!(server.download(&kept).expect(200).body, b"kept");
    // The data are still gone, until the images are deleted.
    check(&server, &[]).expect(2).says("(deactivated)");
    for id in [&lost, &changed] {
        server.remove(id).expect(200);
    }
    check(&server, &[]).expect(0);
}

#[test]
fn data_that_are_not_what_was_stored() {
    let server = Setup::new().start();
    let kept = server.upload(&[], &vec![1; 100_000]);
    let wrong = server.upload(&[], b"lost");
    check(&server, &["--data"]).expect(0);
    fs::write(server.store_dir().join(&wrong), "cost").unwrap();
    // The size is right, so only reading finds it.
    check(&server, &[]).expect(0);
    let run = check(&server, &["--data"]).expect(2);
    run.says(&wrong).says("do not match its checksum");
    let (found, _) = findings(&check(&server, &["--data", "--json"]).expect(2));
    assert_eq!(kinds(&found), ["damaged"]);
    assert_ne!(found[0]["image"], json!(kept));
}

#[test]
fn a_store_that_is_not_there_loses_no_image() {
    let mut server = Setup::new().start();
    let ids = [server.upload(&[], b"one"), server.upload(&[], b"two")];
    server.stop();
    let (store, aside) = (server.store_dir(), server.folder().join("aside"));
    fs::rename(&store, &aside).unwrap();
    check(&server, &["--repair=images"])
        .expect(1)
        .says("is it mounted?");
    assert!(!store.exists());
    // A folder that something should be mounted on.
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
fn data_without_an_image() {
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
    // They are young, and may be somebody's work.
    check(&server, &["--repair"]).expect(0);
    let run = check(&server, &["--json", ANY_AGE]).expect(2);
    let (found, numbers) = findings(&run);
    assert_eq!(kinds(&found), ["orphan"; 3]);
    assert_eq!(numbers, json!({"images": 2, "findings": 3, "repaired": 0}));
    assert!(run.out.contains(&orphan) && !run.out.contains("not-ours"));
    // While a node has the registry nothing is repaired, for it may be uploading.
    server.start();
    check(&server, &["--repair", ANY_AGE])
        .expect(1)
        .says("in use by a node");
    server.stop();
    // An image that waits for its data may get them at any moment.
    let run = check(&server, &["--repair", ANY_AGE]).expect(2);
    run.says("3 findings, 2 repaired").says(&queued);
    let mut wanted = [kept.as_str(), &queued, "not-ours"].map(PathBuf::from);
    wanted.sort();
    assert_eq!(files(&server), wanted);
    fs::remove_file(store.join(&queued)).unwrap();
    server.start();
    assert_eq!(server.download(&kept).expect(200).body, b"kept");
}

/// An administrator may have given an image the data of another one's name.
#[test]
fn data_that_an_image_has_under_another_name() {
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
fn an_upload_that_never_ended() {
    let mut server = Setup::new().start();
    let id = begin_upload(&server);
    let staged = eventually("something is staged", || files(&server).pop());
    assert!(staged.starts_with(STAGING), "{staged:?}");
    // Under way it is nobody's orphan, and not stale.
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

/// Sends a part of an image and goes away without closing.
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
fn data_that_no_store_knows_of() {
    let setup = Setup::new().option("delayed_delete", true);
    let mut server = setup.option("scrub_in_api", false).start();
    let pending = server.upload(&[], b"data");
    server.remove(&pending).expect(200);
    server.stop();
    let file = server.store_dir().join(&pending);
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    // It may be restored, and then somebody would miss them.
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
        // What nobody can look at is not to be removed, or to be said to be gone.
        let run = check(&server, &["--repair=orphans,images", ANY_AGE]).expect(2);
        let run = run.says("is not known");
        assert!(!run.out.contains("CANARY") && !run.err.contains("CANARY"));
        assert!(file.exists());
    }
}
