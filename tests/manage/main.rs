//! Tests of the program `glance-manage`, while the server runs and while it does not.
//!
//! * `moves`: dumps of one registry that are imported into another, also of another kind.
//! * `check`: registries and stores that differ.
//! * `documents`: dumps of registries with documents.
//! * `dumps`: invalid and incomplete files, and interrupted imports.
//! * `purge`: removal of the records of deleted images.
//! * `legacy`: SQL registries of Glance, in files and in database servers.
//!
//! Tests with etcd require the feature `etcd`, and `legacy` requires `legacy-sql`.

#[path = "../support/mod.rs"]
mod support;

mod check;
mod documents;
mod dumps;
#[cfg(feature = "legacy-sql")]
mod legacy;
mod moves;
mod purge;

use std::process::Command;

use serde_json::Value;

use crate::support::eventually;
use crate::support::http::Request;
use crate::support::program::{Run, beside};
use crate::support::server::{Server, Setup};
use crate::support::v1::{RAW, image_path, post, post_data};

/// Returns the program with the configuration of a server.
fn command(server: &Server, words: &[&str]) -> Command {
    let mut command = beside(server, env!("CARGO_BIN_EXE_glance-manage"));
    let config = server.config_file();
    command.arg("--config-file").arg(config).args(words);
    command
}

/// Runs the program and waits for its end.
#[track_caller]
fn manage(server: &Server, words: &[&str]) -> Run {
    Run::of(&mut command(server, words))
}

/// Returns a server that has never run but has a configuration file.
fn prepared(setup: Setup) -> Server {
    let server = setup.prepare();
    server.write_config();
    server
}

/// Returns the full list of images, deleted ones included.
#[track_caller]
fn everything(server: &Server) -> Value {
    let query = "is_public=None&changes-since=2000-01-01&limit=1000&sort_key=id";
    server.json(&format!("/v1/images/detail?{query}"))
}

/// Creates images: active, queued and shared, deleted, killed. Returns the id of the active one.
#[track_caller]
fn populate(server: &Server) -> String {
    let active = server.upload(&[("x-image-meta-name", "Größe")], b"data");
    let shared = server.create(&[("x-image-meta-property-a", "b")]);
    let member = format!("{}/members/t", image_path(&shared));
    server.request(&Request::put(&member)).expect(204);
    let deleted = server.upload(&[], b"gone");
    server.remove(&deleted).expect(200);
    let wrong = [("x-image-meta-checksum", "0")];
    server.request(&post_data(&wrong, b"killed")).expect(400);
    server.request(&post(RAW).body("no data")).expect(400);
    await_rest(server);
    active
}

/// Waits until every record is free of data to remove.
#[track_caller]
fn await_rest(server: &Server) {
    let file = server.folder().join("at-rest.dump");
    eventually("the cleaner has done its work", || {
        manage(server, &["export", "--force", "at-rest.dump"]).expect(0);
        let dump = std::fs::read_to_string(&file).expect("a dump");
        let mut lines = dump
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let is_left = |line: Value| {
            let image = &line["image"];
            let is_deleted = image["status"] == "deleted" && !image["data"].is_null();
            is_deleted || !image["upload"].is_null()
        };
        (!lines.any(is_left)).then_some(())
    });
}
