//! HTTP clients that do not know Glance and read an image by its URL: wget, qemu-img, nbdkit,
//! rclone; and fog-openstack, which depends on the spelling of headers.
//!
//! All of them send HEAD first and rely on its response.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::{stdout, stdout_of};
use crate::support::pattern;
use crate::support::server::{Server, Setup};
use crate::support::skip;

const SIZE: usize = 300_000;

fn has(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// Returns a command with the server's folder as home and working directory.
fn command(node: &Server, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(node.folder())
        .env_clear()
        .env("HOME", node.folder())
        .env("LC_ALL", "C.UTF-8")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn node_with_image() -> (Server, String, Vec<u8>) {
    let node = Setup::new().start();
    let data = pattern(SIZE, 5);
    let headers = [
        ("x-image-meta-name", "web"),
        ("x-image-meta-is_public", "True"),
        ("x-image-meta-property-distro", "debian"),
    ];
    let id = node.upload(&headers, &data);
    (node, id, data)
}

fn both(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn wget_downloads_an_image_once() {
    if !has("wget", &["--version"]) {
        return skip("wget", "wget is not installed");
    }
    let (node, id, data) = node_with_image();
    for path in ["v1/images", "images"] {
        let url = format!("http://{}/{path}/{id}", node.address());
        let wget = |option: &str| {
            let mut wget = command(&node, "wget");
            let output = wget.args(["--no-verbose", option, &url]).output();
            let output = output.expect("wget runs");
            assert!(output.status.success(), "{option}: {}", both(&output));
        };
        let modified = || {
            let file = fs::metadata(node.folder().join(&id)).expect("the file");
            file.modified().expect("a time")
        };
        wget("--spider");
        wget("--timestamping");
        assert!(fs::read(node.folder().join(&id)).expect("the file") == data);
        let (fetched, downloads) = (modified(), whole_downloads(&node, &id));
        assert_eq!(
            fetched,
            httpdate::parse_http_date(node.head(&id).header("last-modified").expect("a date"))
                .expect("an HTTP date")
        );
        wget("--timestamping");
        assert_eq!(modified(), fetched);
        assert_eq!(whole_downloads(&node, &id), downloads, "{path}");
        fs::remove_file(node.folder().join(&id)).expect("removed");
    }
}

/// Returns the number of complete downloads of an image, from the access log.
fn whole_downloads(node: &Server, id: &str) -> usize {
    let log = node.log();
    let lines = log.lines().filter(|line| line.contains(id));
    lines
        .filter(|line| line.contains("GET /") && line.contains(&format!("{SIZE}")))
        .count()
}

#[test]
fn qemu_reads_an_image_over_http() {
    if !has("qemu-img", &["--version"]) {
        return skip("qemu-img over HTTP", "qemu-img is not installed");
    }
    let probe = Command::new("qemu-img")
        .args(["info", "http://127.0.0.1:1/x"])
        .output()
        .expect("qemu-img runs");
    if both(&probe).contains("Unknown protocol") {
        return skip(
            "qemu-img over HTTP",
            "qemu's curl driver is not installed (package qemu-block-extra)",
        );
    }
    let node = Setup::new().start();
    let disk = node.folder().join("disk.qcow2");
    stdout_of(
        command(&node, "qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(&disk)
            .arg("16M"),
    );
    let id = node.upload(&[], &fs::read(&disk).expect("a disk"));
    for path in ["v1/images", "images"] {
        let url = format!("http://{}/{path}/{id}", node.address());
        let info = stdout_of(command(&node, "qemu-img").args(["info", "--output=json", &url]));
        let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
        assert_eq!(info["format"], "qcow2", "{info}");
        assert_eq!(info["virtual-size"], 16 << 20, "{info}");
        stdout_of(command(&node, "qemu-img").args(["check", &url]));
    }
}

#[test]
fn nbdkit_serves_an_image_as_a_disk() {
    if !has("nbdkit", &["curl", "--dump-plugin"]) || !has("qemu-img", &["--version"]) {
        return skip(
            "nbdkit",
            "nbdkit with its curl plugin, or qemu-img, is missing",
        );
    }
    let (node, id, data) = node_with_image();
    let copy = node.folder().join("copy");
    stdout_of(
        command(&node, "nbdkit")
            .args(["-U", "-", "curl"])
            .arg(format!("url=http://{}/v1/images/{id}", node.address()))
            .arg("--run")
            .arg("qemu-img convert -f raw -O raw \"$uri\" copy"),
    );
    let copied = fs::read(copy).expect("a copy");
    // A disk consists of whole sectors.
    assert!(copied.starts_with(&data) && copied.len() < data.len() + 512);
}

#[test]
fn rclone_lists_and_copies_an_image() {
    if !has("rclone", &["version"]) {
        return skip("rclone", "rclone is not installed");
    }
    let (node, id, data) = node_with_image();
    let url = format!("http://{}/v1/images/", node.address());
    let rclone = |arguments: &[&str]| {
        let mut rclone = command(&node, "rclone");
        rclone.args(["--config", "", "--http-url", &url]);
        let output = rclone.args(arguments).output().expect("rclone runs");
        stdout(output, &rclone)
    };
    let remote = format!(":http:{id}");
    let listed = rclone(&["lsjson", "--stat", &remote]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["Size"], SIZE, "{listed}");
    rclone(&["copyto", &remote, "copy"]);
    assert!(fs::read(node.folder().join("copy")).expect("a copy") == data);
}

#[test]
fn fog_reads_an_image() {
    if !has("ruby", &["-e", "require 'fog/openstack'"]) {
        return skip("fog-openstack", "ruby with fog-openstack is not installed");
    }
    let (node, id, _) = node_with_image();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/clients/fog.rb");
    let endpoint = format!("http://{}", node.address());
    let shown = stdout_of(command(&node, "ruby").arg(program).args([&endpoint, &id]));
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    for (attribute, value) in [
        ("id", serde_json::json!(id)),
        ("name", "web".into()),
        ("status", "active".into()),
        ("disk_format", "raw".into()),
        ("is_public", true.into()),
        ("size", SIZE.into()),
        ("properties", serde_json::json!({"distro": "debian"})),
    ] {
        assert_eq!(shown[attribute], value, "{shown}");
    }
}
