//! Tests of the real `glance-control`.

use std::path::Path;

use super::LIMIT;
use crate::support::eventually;
use crate::support::http::Request;
use crate::support::program::{Run, beside};
use crate::support::server::{GLANCE_API, Server, Setup};

fn control(server: &Server, words: &[&str]) -> Run {
    Run::of(beside(server, env!("CARGO_BIN_EXE_glance-control")).args(words))
}

/// Runs a command with the server's own files.
fn with_files(server: &Server, words: &[&str]) -> Run {
    let (config, pid_file) = (server.config_file(), server.pid_file());
    let files = [
        config.to_str().unwrap(),
        "--pid-file",
        pid_file.to_str().unwrap(),
    ];
    control(server, &[words, &files].concat())
}

fn prepared() -> Server {
    let server = Setup::new().option("log_file", "api.log").prepare();
    server.write_config();
    server
}

#[test]
fn control_starts_reloads_and_stops_a_server() {
    assert!(
        Path::new(GLANCE_API).is_file(),
        "it is beside glance-control"
    );
    let mut server = prepared();
    let config = server.config_file().display().to_string();
    with_files(&server, &["api", "status"])
        .expect(3)
        .says("No glance-api running");
    with_files(&server, &["api", "stop"])
        .expect(0)
        .says("No glance-api running");
    with_files(&server, &["api", "start"])
        .expect(0)
        .says(&format!("Starting glance-api with {config}\n"));
    server.follow();
    server.request(&Request::get("/v1/images")).expect(200);
    let pid = server.pid();
    let pid_file = server.pid_file().display().to_string();
    with_files(&server, &["api", "start"])
        .expect(0)
        .says(&format!(
            "glance-api appears to already be running: {pid_file}"
        ));
    with_files(&server, &["api", "status"])
        .expect(0)
        .says(&format!("glance-api is running  pid: {pid}"));
    let id = server.create(&[]);

    with_files(&server, &["api", "reload"])
        .expect(0)
        .says(&format!("Reloading glance-api  pid: {pid}  signal: 1"));
    server.follow();
    assert_eq!(server.status_of(&id), "queued");
    server.await_retired(LIMIT);

    let pid = server.pid();
    with_files(&server, &["api", "restart"])
        .expect(0)
        .says(&format!("Stopping glance-api  pid: {pid}  signal: 15\n"))
        .says("Starting glance-api with");
    server.follow();
    assert_eq!(server.status_of(&id), "queued");

    let pid = server.pid();
    with_files(&server, &["api", "shutdown"])
        .expect(0)
        .says(&format!("Stopping glance-api  pid: {pid}  signal: 1\n"));
    assert!(!server.is_running() && !server.pid_file().exists());
}

#[test]
fn stale_pid_file_is_ignored() {
    let mut server = prepared();
    let stale = std::process::id();
    std::fs::write(server.pid_file(), stale.to_string()).unwrap();
    let pid_file = server.pid_file().display().to_string();
    with_files(&server, &["api", "status"]).expect(1);
    with_files(&server, &["api", "start"])
        .expect(0)
        .says(&format!("Removing stale pid file {pid_file}\n"));
    eventually("it is the server's", || {
        server.pid_in_file().filter(|pid| *pid != stale)
    });
    server.follow();
    with_files(&server, &["api", "stop"]).expect(0);
    assert!(!server.is_running());
}

#[test]
fn failed_start_reports_the_reason() {
    let server = prepared();
    std::fs::write(server.config_file(), "[DEFAULT]\nbind_port = x\n").unwrap();
    with_files(&server, &["api", "start"])
        .expect(1)
        .says("glance-api did not start")
        .says("bind_port");
    with_files(&server, &["registry", "start"]).expect(1);
    control(&server, &["all", "start", "--pid-file", "x"]).expect(64);
    control(&server, &["teapot", "start"]).expect(64);
}

/// The server continues, and the operator gets the error at once, not after the timeout of the
/// successor.
#[test]
fn failed_reload_reports_the_reason() {
    let mut server = prepared();
    with_files(&server, &["api", "start"]).expect(0);
    server.follow();
    let pid = server.pid();
    let sound = std::fs::read_to_string(server.config_file()).unwrap();
    let began = std::time::Instant::now();
    let wrong = format!("{sound}\n[DEFAULT]\nworkers = many\nmetadata_encryption_key = CANARY\n");
    std::fs::write(server.config_file(), wrong).unwrap();
    with_files(&server, &["api", "reload"])
        .expect(1)
        .says("glance-api is not reloaded and continues unchanged")
        .says("workers = \"many\"")
        .says("metadata_encryption_key: this release does not encrypt")
        .keeps("CANARY");
    // A valid configuration, but the successor cannot start.
    let folder = server.folder().join("a file");
    std::fs::write(&folder, "").unwrap();
    let wrong = format!(
        "{sound}\n[glance_store]\nfilesystem_store_datadir = {}/x\n",
        folder.display()
    );
    std::fs::write(server.config_file(), wrong).unwrap();
    with_files(&server, &["api", "reload"])
        .expect(1)
        .says("its successor has ended")
        .says("the image folder");
    let took = began.elapsed();
    assert!(took < std::time::Duration::from_secs(14), "{took:?}");
    assert_eq!(server.pid_in_file(), Some(pid));
    server.request(&Request::get("/v1/images")).expect(200);
    std::fs::write(server.config_file(), sound).unwrap();
    with_files(&server, &["api", "reload"]).expect(0);
    server.follow();
    with_files(&server, &["api", "stop"]).expect(0);
}

#[test]
fn control_manages_the_scrubber_daemon() {
    let server = Setup::new().start();
    let pid_file = server.folder().join("scrubber.pid");
    let config = server.config_file().display().to_string();
    let files = [config.as_str(), "--pid-file", pid_file.to_str().unwrap()];
    let run = |command: &str| control(&server, &[&["scrubber", command][..], &files].concat());
    run("start").expect(0).says("Starting glance-scrubber");
    let pid = || std::fs::read_to_string(&pid_file).unwrap_or_default();
    let first = pid();
    run("reload").expect(0).says("signal: 1");
    assert_ne!(pid(), first, "it was started anew");
    run("status").expect(0);
    run("stop").expect(0).says("signal: 15");
    assert!(!pid_file.exists());
}
