//! `POST /v1/images`: disk and container formats.

use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::server::{Server, Setup};
use crate::support::v1::{image_of, post};

fn with(disk: Option<&str>, container: Option<&str>) -> Response {
    let disk = disk.map(|format| ("x-image-meta-disk_format", format));
    let container = container.map(|format| ("x-image-meta-container_format", format));
    let headers: Vec<_> = disk.into_iter().chain(container).collect();
    Server::shared().request(&post(&headers))
}

#[track_caller]
fn formats(answer: Response) -> (Value, Value) {
    let image = image_of(&answer.expect(201));
    (
        image["disk_format"].clone(),
        image["container_format"].clone(),
    )
}

#[test]
fn every_known_format_is_accepted() {
    for disk in ["vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"] {
        assert_eq!(formats(with(Some(disk), None)), (json!(disk), Value::Null));
    }
    for container in ["bare", "ovf", "ova", "docker"] {
        assert_eq!(
            formats(with(None, Some(container))),
            (Value::Null, json!(container))
        );
    }
}

#[test]
fn other_formats_are_refused() {
    for format in ["", "RAW", "floppy", "raw ", "raw,qcow2", "None"] {
        // Leading and trailing blanks are not part of a header's value.
        let wanted = if format.trim() == "raw" { 201 } else { 400 };
        with(Some(format), None).expect(wanted);
    }
    for format in ["", "Bare", "zip"] {
        with(None, Some(format)).expect(400);
    }
    with(Some("bare"), None).expect(400);
    with(None, Some("qcow2")).expect(400);
}

#[test]
fn amazon_format_sets_the_other() {
    for format in ["aki", "ari", "ami"] {
        let both = (json!(format), json!(format));
        assert_eq!(formats(with(Some(format), None)), both);
        assert_eq!(formats(with(None, Some(format))), both);
        assert_eq!(formats(with(Some(format), Some(format))), both);
    }
}

#[test]
fn amazon_formats_must_match() {
    for (disk, container) in [
        ("aki", "ari"),
        ("ami", "bare"),
        ("raw", "ami"),
        ("ari", "aki"),
        ("qcow2", "aki"),
    ] {
        with(Some(disk), Some(container)).expect(400);
    }
}

#[test]
fn configured_formats_replace_defaults() {
    let server = Setup::new()
        .option("disk_formats", "raw,root-tar")
        .option("container_formats", "bare")
        .start();
    let disk = |format| server.request(&post(&[("x-image-meta-disk_format", format)]));
    disk("root-tar").expect(201);
    disk("qcow2").expect(400);
}
