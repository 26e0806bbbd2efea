//! python-swiftclient with v1 auth and with Keystone.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::backends::{output_of, stdout_of};
use crate::support::backends::swift::{Account, Swift, SwiftHandle};
use crate::support::backends::{Cloud, address_of, tool};
use crate::support::gate::Gate;
use crate::support::{pattern, unique};

const SEGMENT_BYTES: usize = 1 << 20;

fn v1(swift: &SwiftHandle, account: &Account) -> Command {
    v1_at(&swift.auth_url, account)
}

fn v1_at(auth_url: &str, account: &Account) -> Command {
    let mut command = tool("swift");
    command.args(["-A", auth_url, "-U", &account.user, "-K", &account.key]);
    command
}

fn v3(cloud: &Cloud, user: &str) -> Command {
    let (keystone, user) = (&cloud.keystone, cloud.keystone.user(user));
    let mut command = tool("swift");
    command
        .args(["--auth-version", "3", "--os-auth-url", &keystone.auth_url])
        .args(["--os-username", &user.name, "--os-password", &user.password])
        .args(["--os-project-id", &user.project_id])
        .args(["--os-user-domain-id", &keystone.domain_id]);
    command
}

/// Uploads segments as a DLO or an SLO, and reads the object.
#[track_caller]
fn round_trip(login: impl Fn() -> Command, manifest: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (there, back) = (folder.path().join("there"), folder.path().join("back"));
    let data = pattern(SEGMENT_BYTES * 5 / 2, 1);
    fs::write(&there, &data).expect("a file");
    let container = unique("container");
    stdout_of(
        login()
            .args(["upload", &container, manifest, "--object-name", "image"])
            .args(["--segment-size", &SEGMENT_BYTES.to_string()])
            .arg(&there),
    );
    let segments = stdout_of(login().args(["list", &format!("{container}_segments")]));
    assert_eq!(segments.lines().count(), 3, "{segments}");
    stdout_of(
        login()
            .args(["download", &container, "image", "-o"])
            .arg(&back),
    );
    assert!(fs::read(&back).expect("a download") == data);
    stdout_of(login().args(["delete", &container, "image"]));
    let segments = stdout_of(login().args(["list", &format!("{container}_segments")]));
    assert_eq!(segments, "");
}

#[test]
fn v1_auth_and_both_manifests() {
    let swift = Swift::shared();
    round_trip(|| v1(swift, &swift.account), "--use-slo");
    round_trip(|| v1(swift, &swift.account), "--use-dlo");
}

#[test]
fn an_object_above_the_limit_is_refused() {
    let swift = Swift::shared();
    let folder = tempfile::tempdir().expect("a folder");
    let upload = |size_bytes: u64| {
        let path = folder.path().join("zeros");
        let file = fs::File::create(&path).expect("a file");
        file.set_len(size_bytes).expect("a size");
        let container = unique("limit");
        upload_whole(swift, &container, &path)
    };
    assert_eq!(upload(swift.max_object_bytes), Ok(()));
    let refused = upload(swift.max_object_bytes + 1).expect_err("too large");
    assert!(refused.contains("413"), "{refused}");
}

fn upload_whole(swift: &SwiftHandle, container: &str, path: &Path) -> Result<(), String> {
    let mut command = v1(swift, &swift.account);
    let output = output_of(command.args(["upload", container]).arg(path));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(stderr)
    }
}

/// A login through a gate returns a storage URL of the gate, since Swift uses the requested host.
#[test]
fn all_requests_pass_the_gate() {
    let swift = Swift::shared();
    let gate = Gate::before(address_of(&swift.url));
    let stat = stdout_of(v1_at(&gate.url(&swift.auth_url), &swift.account).args(["stat", "-v"]));
    assert!(
        stat.contains(&gate.url(&swift.account.storage_url)),
        "{stat}"
    );
    assert!(gate.connections() > 0);
}

#[test]
fn server_leaves_no_files() {
    let swift = Swift::start();
    let (folder, address) = (swift.folder().to_owned(), address_of(&swift.url));
    assert!(folder.exists() && TcpStream::connect(address).is_ok());
    drop(swift);
    assert!(!folder.exists() && TcpStream::connect(address).is_err());
}

#[test]
fn accounts_are_separate() {
    let swift = Swift::shared();
    let theirs = ["--os-storage-url", &swift.other.storage_url, "list"];
    let output = output_of(v1(swift, &swift.account).args(theirs));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("403 Forbidden"), "{stderr}");
}

#[test]
fn keystone_tokens_are_accepted() {
    let cloud = Cloud::shared();
    round_trip(|| v3(cloud, "alice"), "--use-slo");
    stdout_of(v3(cloud, "glance").arg("stat"));
    // v1 auth still works.
    stdout_of(v1(&cloud.swift, &cloud.swift.account).arg("stat"));
    let reader = output_of(v3(cloud, "rita").arg("list"));
    let stderr = String::from_utf8_lossy(&reader.stderr);
    assert!(stderr.contains("403 Forbidden"), "{stderr}");
}
