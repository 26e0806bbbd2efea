//! The current commands, `image-…` and `member-…`, of the program.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Output, Stdio};

use crate::ID;
use crate::peer::{Peer, answer, json};
use crate::program::{run, run_closed, run_reading, run_with_input, stderr, stdout};

const OTHER: &str = "9c8ab1b0-5cb4-4f6e-9f1c-4a7d9f0f3c11";

fn entry(id: &str, name: &str) -> String {
    format!(
        r#"{{"id":"{id}","name":"{name}","size":42,"disk_format":"raw","container_format":"bare",
            "status":"active","is_public":true,"properties":{{"os":"linux"}}}}"#
    )
}

fn listing(entries: &[String]) -> String {
    format!(r#"{{"images":[{}]}}"#, entries.join(","))
}

#[test]
fn image_list_is_a_table_and_json() {
    let body = listing(&[entry(ID, "a\\u001b[2J")]);
    let peer = Peer::start(vec![json("200 OK", &body), json("200 OK", &body)]);
    let output = run(&peer, &["image-list", "--all-tenants", "--page-size", "20"]);
    let wanted = format!(
        "\
+{0}+------------+-------------+------------------+------+--------+
| ID                                   | Name       | Disk Format | Container Format | Size | Status |
+{0}+------------+-------------+------------------+------+--------+
| {ID} | a\\u{{1b}}[2J | raw         | bare             | 42   | active |
+{0}+------------+-------------+------------------+------+--------+
",
        "-".repeat(38)
    );
    assert_eq!(stdout(&output), wanted);
    assert_eq!(
        peer.lines(),
        ["GET /v1/images/detail?is_public=None&limit=20&sort_key=name&sort_dir=asc"]
    );
    let output = run(&peer, &["--json", "image-list"]);
    let images: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(images[0]["name"], "a\u{1b}[2J");
}

#[test]
fn image_show_takes_names() {
    let headers = [
        ("x-image-meta-id", ID),
        ("x-image-meta-name", "ubuntu"),
        ("x-image-meta-property-os", "linux"),
    ];
    let peer = Peer::start(vec![
        json("200 OK", &listing(&[entry(ID, "ubuntu")])),
        answer("200 OK", &headers, ""),
    ]);
    let output = run(&peer, &["image-show", "ubuntu"]);
    let shown = stdout(&output);
    assert!(shown.contains("| Property 'os'    | linux"), "{shown}");
    assert!(shown.contains("| name             | ubuntu"), "{shown}");
    assert_eq!(peer.lines()[1], format!("HEAD /v1/images/{ID}"));
}

#[test]
fn ambiguous_name_is_refused_with_the_ids() {
    let two = listing(&[entry(ID, "twin"), entry(OTHER, "twin")]);
    let peer = Peer::start(vec![json("200 OK", &two)]);
    let output = run(&peer, &["image-delete", "twin"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains(ID) && told.contains(OTHER), "{told}");
}

#[test]
fn unknown_name_is_not_found() {
    let peer = Peer::start(vec![
        json("200 OK", &listing(&[])),
        answer("404 Not Found", &[], ""),
    ]);
    let output = run(&peer, &["image-show", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "No image with a name or ID of 'nothing' exists.\n"
    );
}

#[test]
fn image_create_sends_a_file_and_its_fields() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disk");
    fs::write(&file, "disk data").unwrap();
    let body = format!(r#"{{"image":{}}}"#, entry(ID, "new"));
    let peer = Peer::start(vec![json("201 Created", &body)]);
    let output = run(
        &peer,
        &[
            "image-create",
            "--name=new",
            "--disk-format=raw",
            "--container-format=bare",
            "--is-public=True",
            "--property=os=linux",
            "--min_ram=512",
            "--progress",
            "--file",
            file.to_str().unwrap(),
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains(ID));
    // Standard error is not a terminal, so there is no bar.
    assert_eq!(stderr(&output), "");
    let seen = &peer.seen()[0];
    assert_eq!(seen.body, b"disk data");
    for (name, value) in [
        ("x-image-meta-name", "new"),
        ("x-image-meta-is-public", "true"),
        ("x-image-meta-property-os", "linux"),
        ("x-image-meta-min-ram", "512"),
        ("x-image-meta-size", "9"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
}

#[test]
fn image_create_takes_standard_input_as_python_glanceclient_does() {
    let body = format!(r#"{{"image":{}}}"#, entry(ID, "new"));
    let peer = Peer::start((0..8).map(|_| json("201 Created", &body)).collect());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    fs::write(&file, "from a file").unwrap();
    let create = ["image-create", "--name", "new"];
    let created = |output: Output| assert!(output.status.success(), "{}", stderr(&output));
    created(run_with_input(&peer, &create, b"piped"));
    created(run_reading(
        &peer,
        &create,
        fs::File::open(&file).unwrap().into(),
    ));
    let (reader, mut writer) = UnixStream::pair().unwrap();
    writer.write_all(b"socket").unwrap();
    drop(writer);
    created(run_reading(&peer, &create, OwnedFd::from(reader).into()));
    created(run_with_input(
        &peer,
        &[&create[..], &["--file", "-"]].concat(),
        b"named",
    ));
    // Empty input is data: an image of zero bytes.
    created(run_with_input(&peer, &create, b""));
    created(run_reading(&peer, &create, Stdio::null()));
    // A closed input is no data, and with --location the input is not read.
    created(run_closed(&peer, &create));
    let location = ["--location", "http://127.0.0.1/x"];
    created(run_with_input(
        &peer,
        &[&create[..], &location].concat(),
        b"unread",
    ));

    let seen = peer.seen();
    let bodies: Vec<&[u8]> = seen.iter().map(|seen| seen.body.as_slice()).collect();
    assert_eq!(
        bodies[..4],
        [&b"piped"[..], b"from a file", b"socket", b"named"]
    );
    assert_eq!(seen[1].header("content-length"), Some("11"));
    assert_eq!(seen[1].header("x-image-meta-size"), Some("11"));
    for (number, seen) in seen.iter().enumerate() {
        let sent = seen.header("transfer-encoding").is_some() || number == 1;
        assert_eq!(sent, number < 6, "request {number}");
    }
}

#[test]
fn image_update_reads_standard_input_for_a_queued_image_only() {
    let body = format!(r#"{{"image":{}}}"#, entry(ID, "new"));
    let image = |status| {
        answer(
            "200 OK",
            &[("x-image-meta-id", ID), ("x-image-meta-status", status)],
            "",
        )
    };
    let peer = Peer::start(vec![
        image("queued"),
        image("queued"),
        json("200 OK", &body),
        image("active"),
        image("active"),
    ]);
    let update = ["image-update", ID, "--name", "new"];
    let output = run_with_input(&peer, &update, b"piped");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(peer.seen()[2].body, b"piped");
    let output = run_with_input(&peer, &update, b"piped");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("Unable to upload image data to an image which is active."),
        "{}",
        stderr(&output)
    );
    assert_eq!(peer.seen().len(), 5, "nothing was sent");
}

#[test]
fn property_that_a_proxy_drops_is_reported() {
    let body = format!(r#"{{"image":{}}}"#, entry(ID, "new"));
    let peer = Peer::start(vec![json("201 Created", &body)]);
    let create = [
        "image-create",
        "--property",
        "os=linux",
        "--property",
        "hw.cpu=2",
    ];
    let output = run_closed(&peer, &create);
    assert!(output.status.success());
    let said = stderr(&output);
    assert!(said.contains("the property hw.cpu."), "{said}");
    assert!(!said.contains("property os"), "{said}");
}

#[test]
fn image_update_keeps_properties_without_purge_props() {
    let body = format!(r#"{{"image":{}}}"#, entry(ID, "new"));
    let headers = [("x-image-meta-id", ID)];
    let found = || answer("200 OK", &headers, "");
    let peer = Peer::start(vec![
        found(),
        json("200 OK", &body),
        found(),
        json("200 OK", &body),
    ]);
    run_closed(&peer, &["image-update", ID, "--name", "new"]);
    run_closed(&peer, &["image-update", ID, "--purge-props", "--json"]);
    let seen = peer.seen();
    let purge = |seen: &crate::peer::Seen| {
        let purge = seen.header("x-glance-registry-purge-props");
        purge.unwrap().to_owned()
    };
    assert_eq!(
        (purge(&seen[1]), purge(&seen[3])),
        ("false".to_owned(), "true".to_owned())
    );
}

#[test]
fn image_delete_continues_after_a_failure() {
    let headers = [("x-image-meta-id", ID)];
    let peer = Peer::start(vec![
        answer("200 OK", &headers, ""),
        json("403 Forbidden", r#"{"message":"Image is protected"}"#),
        answer("200 OK", &[("x-image-meta-id", OTHER)], ""),
        answer("200 OK", &[], ""),
    ]);
    let output = run(&peer, &["--json", "image-delete", ID, OTHER]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["deleted"][0], OTHER);
    assert_eq!(report["failed"][0]["error"], "Image is protected");
}

#[test]
fn members_are_a_table() {
    let headers = [("x-image-meta-id", ID)];
    let list = r#"{"members":[{"member_id":"t1","can_share":true}]}"#;
    let peer = Peer::start(vec![
        answer("200 OK", &headers, ""),
        answer("204 No Content", &[], ""),
        json("200 OK", list),
    ]);
    let output = run(&peer, &["member-create", ID, "t1", "--can-share"]);
    let shown = stdout(&output);
    assert!(shown.contains("| Image ID"), "{shown}");
    assert!(shown.contains("| t1        | True      |"), "{shown}");
    assert_eq!(peer.seen()[1].body, br#"{"member":{"can_share":true}}"#);
}
