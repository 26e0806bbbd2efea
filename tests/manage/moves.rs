//! Dumps of one registry that are imported into another, also of another kind.

use serde_json::Value;

use super::{everything, manage, populate, prepared};
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::v1::{image_path, put};

/// Returns the responses that must be equal for two servers with the same records.
#[track_caller]
fn answers(server: &Server) -> Vec<Value> {
    let all = everything(server);
    let images = all["images"].as_array().expect("images").clone();
    let members = images.iter().map(|image| {
        let id = image["id"].as_str().expect("an id");
        let path = format!("{}/members", image_path(id));
        let answer = server.request(&Request::get(&path));
        Value::from(format!("{} {}", answer.status, answer.text()))
    });
    let members: Vec<Value> = members.collect();
    [all].into_iter().chain(members).collect()
}

/// Exports the registry of a stopped server and imports it into that of another one.
#[track_caller]
fn carry(from: &Server, to: &Server) {
    let file = from.folder().join("carried.dump");
    let file = file.to_str().expect("a path");
    manage(from, &["export", "--force", file]).expect(0);
    manage(to, &["import", file])
        .expect(0)
        .says("5 new, 0 replaced, 0 there already, 0 kept");
    manage(to, &["import", file])
        .expect(0)
        .says("0 new, 0 replaced, 5 there already, 0 kept");
}

#[test]
fn dumps_of_running_and_stopped_server_are_equal() {
    let mut server = Setup::new().start();
    populate(&server);
    manage(&server, &["export", "running.dump"])
        .expect(0)
        .says("5 images exported");
    server.stop();
    manage(&server, &["export", "stopped.dump"]).expect(0);
    let dump = |name: &str| std::fs::read_to_string(server.folder().join(name)).unwrap();
    assert_eq!(dump("running.dump"), dump("stopped.dump"));
}

#[test]
fn existing_images_follow_the_merge_policy() {
    let mut from = Setup::new().start();
    let active = populate(&from);
    from.stop();
    let mut to = prepared(Setup::new());
    carry(&from, &to);
    let file = from.folder().join("carried.dump");
    let file = file.to_str().unwrap();

    to.start();
    manage(&to, &["import", file]).expect(1).says("in use");
    to.request(&put(&active, &[("x-image-meta-name", "later")]))
        .expect(200);
    let own = to.create(&[]);
    let changed = everything(&to);
    to.stop();

    let load = |to: &Server, words: &[&str]| manage(to, &[&["import", file], words].concat());
    let import = |words: &[&str]| load(&to, words);
    import(&[]).expect(1).says(&active).says("images differ");
    import(&["--merge", "stop"]).expect(1).says(&active);
    import(&["--merge", "newer"]).expect(0).says("1 kept");
    import(&["--merge", "skip"]).expect(0).says("1 kept");
    to.start();
    assert_eq!(everything(&to), changed);
    to.stop();
    let import = |words: &[&str]| load(&to, words);
    let forecast = "1 replaced, 4 there already, 0 kept";
    import(&["--merge", "replace", "--dry-run"])
        .expect(0)
        .says("would be loaded: ")
        .says(forecast);
    import(&["--merge", "replace"]).expect(0).says(forecast);
    // No image differs now, but the registry has another image.
    import(&[]).expect(1).says(&own).says("other images");
    import(&["--merge", "stop"])
        .expect(0)
        .says("5 there already");
    to.start();
    assert_eq!(to.detail_of(&active)["name"], "Größe");
    assert_eq!(to.status_of(&own), "queued");
}

#[test]
fn registry_server_can_be_exported_and_imported() {
    let mut from = Setup::new().start();
    populate(&from);
    let expected = answers(&from);
    from.stop();
    let registry = Setup::registry().start();
    let mut node = prepared(Setup::new().registry_at(registry.address()));
    carry(&from, &node);
    node.start();
    assert_eq!(answers(&node), expected);
    // While both servers run.
    manage(&node, &["export", "remote.dump"]).expect(0);
    let dump = |server: &Server, name: &str| std::fs::read(server.folder().join(name)).unwrap();
    assert_eq!(dump(&node, "remote.dump"), dump(&from, "carried.dump"));
}

#[cfg(feature = "etcd")]
#[test]
fn dump_moves_between_embedded_registry_and_etcd() {
    let mut from = Setup::new().start();
    let active = populate(&from);
    let expected = answers(&from);
    from.stop();
    let store = from.store_dir();

    let etcd = crate::support::etcd::Etcd::start(1);
    let mut clustered = prepared(Setup::new().etcd(&etcd).store_dir(&store));
    carry(&from, &clustered);
    clustered.start();
    assert_eq!(answers(&clustered), expected);
    assert_eq!(clustered.download(&active).expect(200).body, b"data");
    clustered.stop();

    let mut back = prepared(Setup::new().store_dir(&store));
    carry(&clustered, &back);
    let dump = |server: &Server| std::fs::read(server.folder().join("carried.dump")).unwrap();
    assert_eq!(dump(&clustered), dump(&from));
    back.start();
    assert_eq!(answers(&back), expected);
    assert_eq!(back.download(&active).expect(200).body, b"data");
}
