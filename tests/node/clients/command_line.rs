//! All commands of `glance --os-image-api-version 1`.

use std::fs;
use std::io::Write;

use super::{Tool, newest, old, row, stdout, stdout_of};
use crate::support::bytes::{Chance, md5_hex};
use crate::support::server::{Server, Setup};

const NAME: &str = "Größe 9 ü & Söhne";

#[test]
fn newest_command_line_works() {
    every_command(&newest());
}

#[test]
fn old_command_line_works() {
    every_command(&old());
}

fn every_command(tool: &Tool) {
    let node = Setup::new().start();
    let body = Chance::new(30).bytes(3_000_000);
    let file = node.folder().join("image file");
    fs::write(&file, &body).expect("written");

    let id = create(tool, &node, &body);
    listed_and_shown(tool, &node, &id, &body);
    update(tool, &node, &id);
    download(tool, &node, &id, &body);
    members(tool, &node, &id);
    progress_on_a_terminal(tool, &node, &id);
    let piped = from_a_pipe(tool, &node, &body);
    let late = reserved_and_filled(tool, &node, &body);
    for id in [&id, &piped, &late] {
        stdout_of(tool.glance(&node).args(["image-delete", id]));
        assert_eq!(node.head(id).image_status(), Some("deleted"));
    }
    let gone = tool
        .glance(&node)
        .args(["image-show", &id])
        .output()
        .expect("started");
    assert!(!gone.status.success() || stdout(gone, &tool.glance(&node)).contains("deleted"));
    let list = stdout_of(tool.glance(&node).args(["image-list"]));
    assert!(!list.contains(&id), "{list}");
    super::super::hostile::assert_only(&node, &[]);
}

fn create(tool: &Tool, node: &Server, body: &[u8]) -> String {
    let shown = stdout_of(
        tool.glance(node)
            .args(["image-create", "--name", NAME, "--disk-format", "qcow2"])
            .args([
                "--container-format",
                "bare",
                "--is-public",
                "True",
                "--progress",
            ])
            .args([
                "--min-disk",
                "3",
                "--min-ram",
                "64",
                "--owner",
                "some tenant",
            ])
            .args(["--property", "os distro=Debian Süd", "--property", "empty="])
            .arg("--file")
            .arg(node.folder().join("image file")),
    );
    assert_eq!(row(&shown, "status").as_deref(), Some("active"), "{shown}");
    assert_eq!(row(&shown, "checksum"), Some(md5_hex(body)));
    assert_eq!(row(&shown, "size"), Some(body.len().to_string()));
    assert_eq!(row(&shown, "name").as_deref(), Some(NAME));
    assert_eq!(row(&shown, "owner").as_deref(), Some("some tenant"));
    row(&shown, "id").expect("an id")
}

fn listed_and_shown(tool: &Tool, node: &Server, id: &str, body: &[u8]) {
    let list = stdout_of(tool.glance(node).args(["image-list"]));
    assert!(list.contains(id) && list.contains(NAME), "{list}");
    let filtered = [
        "image-list",
        "--name",
        NAME,
        "--status",
        "active",
        "--disk-format",
        "qcow2",
    ];
    let list = stdout_of(tool.glance(node).args(filtered).args(["--size-min", "5"]));
    assert!(list.contains(id), "{list}");
    let list = stdout_of(tool.glance(node).args(["image-list", "--size-max", "5"]));
    assert!(!list.contains(id), "{list}");
    for by in [id, NAME] {
        let shown = stdout_of(tool.glance(node).args(["image-show", by]));
        assert_eq!(row(&shown, "id").as_deref(), Some(id), "{shown}");
        let name = row(&shown, "name").expect("a name");
        assert_eq!(as_utf8(&name), NAME);
        assert_eq!(row(&shown, "checksum"), Some(md5_hex(body)));
        assert_eq!(row(&shown, "min_disk").as_deref(), Some("3"));
        assert_eq!(row(&shown, "is_public").as_deref(), Some("True"));
        assert_eq!(row(&shown, "owner").as_deref(), Some("some tenant"));
    }
}

/// Decodes the text of a header as python-glanceclient shows it: Python decodes headers as Latin-1
/// although they are UTF-8. Text from JSON is shown correctly.
fn as_utf8(shown: &str) -> String {
    let bytes = shown
        .chars()
        .map(|sign| u8::try_from(sign).expect("Latin-1"));
    String::from_utf8(bytes.collect()).expect("UTF-8")
}

/// Runs on a terminal: with an active image, the client would take a closed input for data.
fn update(tool: &Tool, node: &Server, id: &str) {
    let renamed = "Zweitname mit Maß";
    let update = [
        "image-update",
        id,
        "--name",
        renamed,
        "--is-protected",
        "True",
    ];
    let shown = stdout_of(
        tool.glance_on_terminal(node)
            .args(update)
            .args(["--property", "added=1"]),
    );
    assert_eq!(row(&shown, "name").as_deref(), Some(renamed), "{shown}");
    assert_eq!(row(&shown, "protected").as_deref(), Some("True"));
    assert_eq!(
        row(&shown, "Property 'added'").as_deref(),
        Some("1"),
        "{shown}"
    );
    assert!(shown.contains("Debian Süd"), "properties stay: {shown}");
    // The client reports the failure and exits with 0 nevertheless.
    let refused = tool.glance(node).args(["image-delete", id]).output();
    refused.expect("started");
    assert_eq!(
        node.head(id).image_status(),
        Some("active"),
        "it is protected"
    );
    let update = [
        "image-update",
        id,
        "--is-protected",
        "False",
        "--purge-props",
    ];
    let shown = stdout_of(
        tool.glance_on_terminal(node)
            .args(update)
            .args(["--property", "only=2"]),
    );
    assert!(
        !shown.contains("added") && shown.contains("only"),
        "{shown}"
    );
    let update = ["image-update", id, "--name", NAME];
    stdout_of(tool.glance_on_terminal(node).args(update));
}

fn download(tool: &Tool, node: &Server, id: &str, body: &[u8]) {
    let file = node.folder().join("downloaded");
    let download = ["image-download", id, "--progress", "--file"];
    stdout_of(tool.glance(node).args(download).arg(&file));
    assert!(fs::read(&file).expect("downloaded") == body);
    let output = tool
        .glance(node)
        .args(["image-download", NAME])
        .output()
        .expect("started");
    assert!(output.stdout == body, "by name, to standard output");
}

fn members(tool: &Tool, node: &Server, id: &str) {
    stdout_of(
        tool.glance(node)
            .args(["member-create", id, "tenant-a", "--can-share"]),
    );
    stdout_of(tool.glance(node).args(["member-create", id, "tenant-b"]));
    let list = stdout_of(tool.glance(node).args(["member-list", "--image-id", id]));
    assert!(
        list.contains("tenant-a") && list.contains("tenant-b"),
        "{list}"
    );
    let list = stdout_of(
        tool.glance(node)
            .args(["member-list", "--tenant-id", "tenant-a"]),
    );
    assert!(list.contains(id), "{list}");
    stdout_of(tool.glance(node).args(["member-delete", id, "tenant-a"]));
    let list = stdout_of(tool.glance(node).args(["member-list", "--image-id", id]));
    assert!(
        !list.contains("tenant-a") && list.contains("tenant-b"),
        "{list}"
    );
}

/// The client draws the progress bar only on a terminal, and to its end only if the lengths in the
/// server's responses are right.
fn progress_on_a_terminal(tool: &Tool, node: &Server, id: &str) {
    let again = node.folder().join("again");
    let upload = format!("--file={}", node.folder().join("image file").display());
    let download = format!("--file={}", again.display());
    let create = [
        "image-create",
        "--disk-format",
        "raw",
        "--container-format",
        "bare",
        &upload,
    ];
    for arguments in [&create[..], &["image-download", id, &download]] {
        let shown = stdout_of(
            tool.glance_on_terminal(node)
                .args(arguments)
                .arg("--progress"),
        );
        assert!(shown.contains("100%"), "{shown}");
    }
    assert!(again.exists());
    let images = stdout_of(
        tool.glance(node)
            .args(["image-list", "--is-public", "False"]),
    );
    let made = images
        .lines()
        .find(|line| line.contains("raw"))
        .expect("the image");
    let made = made.split('|').nth(1).expect("its id").trim();
    stdout_of(tool.glance(node).args(["image-delete", made]));
}

/// Uploads data of unknown length: in chunks and without a size.
fn from_a_pipe(tool: &Tool, node: &Server, body: &[u8]) -> String {
    let mut command = tool.glance_on_pipe(node);
    command
        .args(["image-create", "--name", "piped", "--disk-format", "raw"])
        .args(["--container-format", "bare"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("started");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(body)
        .expect("read");
    let shown = stdout(child.wait_with_output().expect("ended"), &command);
    assert_eq!(row(&shown, "checksum"), Some(md5_hex(body)), "{shown}");
    assert_eq!(row(&shown, "status").as_deref(), Some("active"));
    row(&shown, "id").expect("an id")
}

fn reserved_and_filled(tool: &Tool, node: &Server, body: &[u8]) -> String {
    let create = ["image-create", "--name", "late", "--disk-format", "raw"];
    let shown = stdout_of(
        tool.glance(node)
            .args(create)
            .args(["--container-format", "bare"]),
    );
    assert_eq!(row(&shown, "status").as_deref(), Some("queued"), "{shown}");
    let id = row(&shown, "id").expect("an id");
    let file = node.folder().join("image file");
    let shown = stdout_of(
        tool.glance(node)
            .args(["image-update", &id, "--file"])
            .arg(file),
    );
    assert_eq!(row(&shown, "status").as_deref(), Some("active"), "{shown}");
    assert_eq!(row(&shown, "checksum"), Some(md5_hex(body)));
    id
}
