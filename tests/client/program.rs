//! The `glance` program: how it finds the server, its exit codes, its input and output streams.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::peer::{Peer, Then, answer, json, step};
use crate::{ID, md5};

/// Returns the program with these arguments and an empty environment: variables of a login or of
/// a proxy would change what is tested.
pub fn glance(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glance"));
    command.args(arguments).stdin(Stdio::null()).env_clear();
    command
}

/// Runs the program against the peer.
pub fn run(peer: &Peer, arguments: &[&str]) -> Output {
    let mut command = glance(arguments);
    command.env("OS_IMAGE_URL", peer.url()).output().unwrap()
}

/// Returns its standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns its standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs the program with this as its standard input.
pub fn run_reading(peer: &Peer, arguments: &[&str], input: Stdio) -> Output {
    let mut command = glance(arguments);
    command.env("OS_IMAGE_URL", peer.url());
    command.stdin(input).output().unwrap()
}

/// Runs the program with its standard input closed.
pub fn run_closed(peer: &Peer, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" <&-"]);
    command.arg(env!("CARGO_BIN_EXE_glance")).args(arguments);
    command.env_clear();
    command.env("OS_IMAGE_URL", peer.url()).output().unwrap()
}

/// Runs the program with data on a pipe as its standard input.
pub fn run_with_input(peer: &Peer, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = glance(arguments);
    command.env("OS_IMAGE_URL", peer.url());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    match child.stdin.take().unwrap().write_all(input) {
        // The program has ended without reading.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    child.wait_with_output().unwrap()
}

#[test]
fn server_is_found_by_option_and_environment() {
    let empty = || json("200 OK", r#"{"images":[]}"#);
    let peer = Peer::start((0..4).map(|_| empty()).collect());
    let port = peer.port.to_string();
    let url = format!("{}/v1/", peer.url());
    assert!(run(&peer, &["index"]).status.success());
    for arguments in [
        &["-p", &port, "index"][..],
        &["-H", "127.0.0.1", "--port", &port, "index"],
        &["index", "--url", &url, "-A", "tok"],
    ] {
        let mut command = glance(arguments);
        // An option outranks the environment.
        command.env("OS_IMAGE_URL", "http://127.0.0.1:1");
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }
    assert_eq!(peer.seen()[3].header("x-auth-token"), Some("tok"));
    assert!(
        peer.lines()
            .iter()
            .all(|line| line.starts_with("GET /v1/images?"))
    );
}

#[test]
fn exit_code_depends_on_the_kind_of_failure() {
    let peer = Peer::start(vec![json(
        "403 Forbidden",
        r#"{"message":"Image is protected"}"#,
    )]);
    let refused = run(&peer, &["--force", "delete", ID]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(stderr(&refused), "Image is protected\n");

    for wrong in [
        &["fly"][..],
        &["add", "name"],
        &["image-create", "--is-public", "maybe"],
        &["image-create", "--file", "/nonexistent/x"],
        &["--os-image-api-version", "2", "index"],
        &["-U", "ftp://h", "index"],
        &["--os-cert", "x", "index"],
        &["--os-auth-url", "http://127.0.0.1:1", "index"],
        &["--timeout", "0", "index"],
    ] {
        let output = glance(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }

    let output = glance(&["-U", "http://127.0.0.1:1", "index"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("127.0.0.1:1. Is the server running?"));
}

#[test]
fn downloads_go_to_files_and_to_pipes() {
    let data = vec![42; 300_000];
    let checksum = md5(&data);
    let headers = [
        ("x-image-meta-id", ID),
        ("x-image-meta-checksum", checksum.as_str()),
        ("etag", checksum.as_str()),
    ];
    let round = || {
        [
            answer("200 OK", &headers, ""),
            answer("200 OK", &headers, ""),
            answer("200 OK", &headers, data.clone()),
        ]
    };
    let peer = Peer::start(round().into_iter().chain(round()).chain(round()).collect());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    let name = file.to_str().unwrap();

    let output = run(&peer, &["image-download", ID, "--file", name, "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(fs::read(&file).unwrap() == data);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["size"], 300_000);
    assert_eq!(report["checksum"], checksum);

    let output = run(&peer, &["image-download", ID]);
    assert!(output.status.success());
    assert!(output.stdout == data);

    // A device is written to, not replaced.
    let output = run(&peer, &["image-download", ID, "--file", "/dev/null"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn wrong_checksum_has_its_own_exit_code() {
    let wrong = md5(b"other");
    let headers = [("x-image-meta-checksum", wrong.as_str())];
    let peer = Peer::start(vec![
        answer("200 OK", &headers, ""),
        answer("200 OK", &headers, ""),
        answer("200 OK", &headers, "data"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out");
    let name = file.to_str().unwrap();
    let output = run(&peer, &["image-download", ID, "--file", name]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains(&wrong));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn closed_output_is_not_a_failure() {
    let data = vec![7; 8 << 20];
    let headers = [("x-image-meta-id", ID)];
    let endless = step(move |exchange| {
        exchange.answer("200 OK", &[("x-image-meta-id", ID)], &data);
        Then::Close
    });
    let peer = Peer::start(vec![
        answer("200 OK", &headers, ""),
        answer("200 OK", &headers, ""),
        endless,
    ]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = glance(&["image-download", ID]);
    command.env("OS_IMAGE_URL", peer.url()).stdout(writer);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop((reader, command));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn verbose_logs_requests_without_the_token() {
    let peer = Peer::start(vec![json("200 OK", r#"{"images":[]}"#)]);
    let output = run(&peer, &["-v", "-A", "s3cret", "index"]);
    let told = stderr(&output);
    assert!(
        told.contains("/v1/images") && told.contains("200"),
        "{told}"
    );
    assert!(!told.contains("s3cret"));
}
