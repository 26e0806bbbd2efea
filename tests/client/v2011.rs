//! The commands of 2011 of the program: their output, defaults and prompts.

use std::fs::File;

use crate::ID;
use crate::peer::{Peer, answer, json};
use crate::program::{glance, run, run_with_input, stderr, stdout};

fn listing(name: &str) -> String {
    format!(
        r#"{{"images":[{{"id":"{ID}","name":"{name}","size":42,"disk_format":"raw",
            "container_format":"ovf","checksum":null}}]}}"#
    )
}

fn added() -> String {
    format!(r#"{{"image":{{"id":"{ID}","name":"x"}}}}"#)
}

#[test]
fn index_prints_columns_and_takes_filters() {
    let peer = Peer::start(vec![json("200 OK", &listing("ubuntu"))]);
    let output = run(&peer, &["index", "Size-Min=10", "distro=x"]);
    let shown = stdout(&output);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 3, "{shown}");
    assert!(lines[0].starts_with("ID   "));
    assert_eq!(&lines[1][..37], "------------------------------------ ");
    assert_eq!(&lines[2][..43], format!("{ID} ubuntu"));
    assert!(lines[2].ends_with("            42"));
    assert_eq!(
        peer.lines(),
        ["GET /v1/images?size_min=10&property-distro=x&limit=10"]
    );
}

#[test]
fn details_are_blocks_between_separators() {
    let peer = Peer::start(vec![json("200 OK", &listing("ubuntu"))]);
    let shown = stdout(&run(&peer, &["details"]));
    let rule = "=".repeat(80);
    assert!(shown.starts_with(&format!("{rule}\nURI: {}/v1/images/{ID}\n", peer.url())));
    assert!(shown.contains("\nName: ubuntu\n"));
    assert!(shown.ends_with(&format!("{rule}\n")));
}

#[test]
fn empty_index_is_reported() {
    let peer = Peer::start(vec![json("200 OK", r#"{"images":[]}"#)]);
    assert_eq!(stdout(&run(&peer, &["index"])), "No public images found.\n");
}

#[test]
fn show_prints_the_image_or_the_refusal() {
    let headers = [("x-image-meta-id", ID), ("x-image-meta-name", "x")];
    let peer = Peer::start(vec![
        answer("200 OK", &headers, ""),
        answer("404 Not Found", &[], ""),
    ]);
    assert!(stdout(&run(&peer, &["show", ID])).contains("\nName: x\n"));
    let output = run(&peer, &["show", ID]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!("No image with ID {ID} was found\n")
    );
}

#[test]
fn add_reads_data_from_pipes_and_files_but_not_from_devices() {
    let peer = Peer::start((0..4).map(|_| json("201 Created", &added())).collect());
    let add = ["add", "name=x", "status=active", "distro=Ubuntu"];
    let output = run_with_input(&peer, &add, b"piped");
    assert_eq!(stdout(&output), format!("Added new image with ID: {ID}\n"));
    assert_eq!(
        stderr(&output),
        "Found non-settable field status. Removing.\n"
    );
    run(&peer, &add);
    run_with_input(&peer, &add, b"");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    std::fs::write(&file, "from a file").unwrap();
    let mut command = glance(&add);
    command.env("GLANCE_URL", peer.url());
    command.stdin(File::open(&file).unwrap());
    assert!(command.status().unwrap().success());

    let seen = peer.seen();
    assert_eq!(seen[0].body, b"piped");
    assert_eq!(seen[0].header("x-image-meta-disk-format"), Some("raw"));
    assert_eq!(seen[0].header("x-image-meta-container-format"), Some("ovf"));
    assert_eq!(
        seen[0].header("x-image-meta-property-distro"),
        Some("Ubuntu")
    );
    assert_eq!(seen[0].header("x-image-meta-status"), None);
    assert_eq!(
        (seen[1].header("expect"), seen[2].header("expect")),
        (None, None)
    );
    assert_eq!(seen[3].body, b"from a file");
    assert_eq!(seen[3].header("content-length"), Some("11"));
}

#[test]
fn add_of_a_kernel_sets_no_default_formats() {
    let peer = Peer::start(vec![json("201 Created", &added())]);
    run(&peer, &["add", "name=k", "disk_format=aki"]);
    let seen = &peer.seen()[0];
    assert_eq!(seen.header("x-image-meta-disk-format"), Some("aki"));
    assert_eq!(seen.header("x-image-meta-container-format"), None);
}

#[test]
fn add_reports_the_servers_message() {
    let peer = Peer::start(vec![json("409 Conflict", r#"{"message":"taken"}"#)]);
    let output = run(&peer, &["add", "name=x"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "Failed to add image. Got error:\ntaken\n");
}

#[test]
fn update_purges_properties_that_are_not_named() {
    let peer = Peer::start(vec![json("200 OK", &added())]);
    let output = run(&peer, &["update", ID, "name=y"]);
    assert_eq!(stdout(&output), format!("Updated image {ID}\n"));
    let seen = &peer.seen()[0];
    assert_eq!(seen.header("x-glance-registry-purge-props"), Some("true"));
}

#[test]
fn delete_requires_confirmation() {
    let peer = Peer::start(vec![answer("200 OK", &[], "")]);
    for refused in [&["delete", ID][..], &["clear"]] {
        let output = run(&peer, refused);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("--force"));
    }
    let dry = run(&peer, &["delete", "--dry-run", ID]);
    assert_eq!(
        stdout(&dry),
        format!("Dry run. We would have done the following:\nDelete image {ID}\n")
    );
    // Commands that do not support dry runs refuse the option.
    for wet in [&["image-delete", ID][..], &["member-delete", ID, "t1"]] {
        let output = run(&peer, &[wet, &["--dry-run"]].concat());
        assert_eq!(output.status.code(), Some(2));
    }
    assert!(peer.seen().is_empty());
    let output = run(&peer, &["-f", "delete", ID]);
    assert_eq!(stdout(&output), format!("Deleted image {ID}\n"));
}

#[test]
fn clear_deletes_all_images_of_index() {
    let peer = Peer::start(vec![
        json("200 OK", &listing("a")),
        answer("200 OK", &[], ""),
    ]);
    let output = run(&peer, &["clear", "--force"]);
    assert_eq!(stdout(&output), format!("Deleted image {ID}\n"));
    assert_eq!(peer.lines()[1], format!("DELETE /v1/images/{ID}"));
}

#[test]
fn members_are_lists_with_a_footnote() {
    let peer = Peer::start(vec![
        json(
            "200 OK",
            r#"{"members":[{"member_id":"a","can_share":true},{"member_id":"b","can_share":false}]}"#,
        ),
        answer("204 No Content", &[], ""),
        answer("204 No Content", &[], ""),
    ]);
    assert_eq!(
        stdout(&run(&peer, &["image-members", ID])),
        "a *\nb\n\n(*: Can share image)\n"
    );
    assert!(run(&peer, &["member-add", ID, "c"]).status.success());
    assert!(
        run(&peer, &["members-replace", ID, "d", "--can-share"])
            .status
            .success()
    );
    assert!(
        run(&peer, &["member-delete", ID, "d"])
            .status
            .code()
            .is_some()
    );
    let seen = peer.seen();
    assert_eq!(seen[1].body, br#"{"member":{"can_share":false}}"#);
    assert_eq!(
        seen[2].body,
        br#"{"memberships":[{"member_id":"d","can_share":true}]}"#
    );
}
