//! Files that the registry does not know, because it was lost or restored from a backup.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::http::Request;
use crate::support::pattern;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{image_path, post_data, put_data};

const ID: &str = "3f2a9c1e-5b7d-4e8f-9a6b-0c1d2e3f4a5b";

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp").success());
}

/// The log names the file; the response does not.
#[track_caller]
fn assert_refused(server: &Server, upload: &Request, file: &Path) {
    let refused = server.request(upload).expect(409);
    let path = file.display().to_string();
    assert!(!refused.text().contains(&path), "{}", refused.text());
    server.expect_log(&path);
    assert_eq!(server.status_of(ID), "killed");
}

#[test]
fn upload_does_not_replace_an_unknown_file() {
    let (images, copies) = (temp_folder(), temp_folder());
    let kept = copies.path().join("data");
    let file = images.path().join(ID);
    let data = pattern(100_000, 1);
    let mut server = Setup::new().store_dir(images.path()).start();
    let reserve = || Request::post("/v1/images").header("x-image-meta-id", ID);
    let formats = [
        ("x-image-meta-disk_format", "raw"),
        ("x-image-meta-container_format", "bare"),
    ];
    server.request(&reserve().headers(&formats)).expect(201);
    server.stop();
    copy(&server.data_dir(), &kept);

    server.start();
    server.request(&put_data(ID, &[], &data)).expect(200);
    server.stop();
    fs::remove_dir_all(server.data_dir()).expect("removed");
    copy(&kept, &server.data_dir());

    // The registry is as it was before the upload.
    server.start();
    assert_eq!(server.status_of(ID), "queued");
    assert_refused(&server, &put_data(ID, &[], b"other"), &file);
    server.restart();
    server.remove(ID).expect(200);
    assert!(fs::read(&file).expect("the file") == data);

    // The registry is lost, and another client uses the same id in upper case.
    server.stop();
    fs::remove_dir_all(server.data_dir()).expect("removed");
    server.start();
    for id in [ID.to_owned(), ID.to_ascii_uppercase()] {
        let named = [("x-image-meta-id", id.as_str())];
        let refused = server.request(&post_data(&named, b"other")).expect(409);
        assert!(!refused.text().contains(&file.display().to_string()));
        server.remove(&id).expect(200);
    }
    server.request(&Request::get(&image_path(ID))).expect(404);
    server.restart();
    assert!(fs::read(&file).expect("the file") == data);
    let left = fs::read_dir(images.path().join(".staging")).expect("a folder");
    assert_eq!(left.count(), 0);
}

#[test]
fn upper_case_id_names_the_lower_case_file() {
    let server = Setup::new().start();
    let id = ID.to_ascii_uppercase();
    let named = [("x-image-meta-id", id.as_str())];
    server.request(&post_data(&named, b"data")).expect(201);
    let files = server.stored_files();
    let names: Vec<_> = files.iter().map(|(path, _)| path.as_path()).collect();
    assert_eq!(names, [Path::new(ID)]);
    assert_eq!(server.download(&id).expect(200).body, b"data");
    server.remove(&id).expect(200);
    server.await_nothing_stored(ID);
}
