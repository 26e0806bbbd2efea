//! `GET /v1/images/{id}` of whole images.

use super::create::fresh_id;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::v1::{RAW, image_path, post};
use crate::support::{md5_hex, pattern};

#[test]
fn response_has_data_and_metadata() {
    let server = Server::shared();
    let id = server.upload(&[("x-image-meta-property-os", "linux")], b"data");
    let got = server.download(&id).expect(200);
    assert_eq!(got.body, b"data");
    let sum = md5_hex(b"data");
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-length", "4"),
        ("etag", sum.as_str()),
        ("accept-ranges", "bytes"),
        // printf data | openssl md5 -binary | base64
        ("content-md5", "jXd/OF09/siBXSD3SWAm3A=="),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    assert_eq!(got.header("transfer-encoding"), None);
    let meta = |answer: &crate::support::http::Response| {
        let headers = answer.head.headers.iter();
        let mut meta: Vec<_> = headers
            .filter(|(name, _)| name.to_lowercase().starts_with("x-image-meta-"))
            .cloned()
            .collect();
        meta.sort();
        meta
    };
    assert_eq!(
        meta(&got),
        meta(&server.head(&id).expect(200)),
        "the same as HEAD's"
    );
}

#[test]
fn only_active_image_has_data() {
    let server = Server::shared();
    let queued = server.reserve();
    let killed = fresh_id();
    let request = post(RAW).header("x-image-meta-id", &killed).body("data");
    server.request(&request).expect(400);
    let deleted = server.upload(&[], b"data");
    server.remove(&deleted).expect(200);
    for id in [&queued, &killed, &deleted] {
        server.download(id).expect(404);
    }
    let page = server.download(&queued).expect(404);
    let reason = format!("Image {queued} is not active");
    assert!(page.text().contains(&reason), "{}", page.text());
    let unknown = fresh_id();
    let page = server.download(&unknown).expect(404);
    let reason = format!("Image with identifier {unknown} not found");
    assert!(page.text().contains(&reason), "{}", page.text());
}

#[test]
fn changed_size_does_not_change_data() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    let update = crate::support::v1::put(&id, &[("x-image-meta-size", "2")]);
    server.request(&update).expect(200);
    let got = server.download(&id).expect(200);
    assert_eq!(got.body, b"data");
    assert_eq!(got.header("content-length"), Some("4"));
    assert_eq!(got.header("x-image-meta-size"), Some("2"));
}

#[test]
fn large_image_downloads_twice_on_one_connection() {
    let server = Server::shared();
    let data = pattern(24 << 20, 9);
    let id = server.upload(&[], &data);
    let mut connection = server.connect();
    for _ in 0..2 {
        let got = connection
            .request(&Request::get(&image_path(&id)))
            .expect(200);
        assert!(got.body == data);
    }
}

#[test]
fn missing_data_are_not_found() {
    let server = Setup::new().start();
    let id = server.upload(&[], b"data");
    let (file, _) = server.stored_files().remove(0);
    std::fs::remove_file(server.store_dir().join(file)).unwrap();
    server.download(&id).expect(404);
    assert_eq!(server.status_of(&id), "active");
}

/// Opens the file of the only image of a server.
fn only_file(server: &Server) -> std::fs::File {
    let (file, _) = server.stored_files().remove(0);
    let file = server.store_dir().join(file);
    std::fs::File::options().write(true).open(file).unwrap()
}

#[test]
fn truncated_data_are_server_error() {
    let server = Setup::new().start();
    let id = server.upload(&[], &pattern(300_000, 4));
    only_file(&server).set_len(100_000).unwrap();
    server.download(&id).expect(500);
    server.request(&Request::get("/v1/images")).expect(200);
}

#[test]
fn truncation_during_download_breaks_connection() {
    let server = Setup::new().start();
    let data = pattern(48 << 20, 4);
    let id = server.upload(&[], &data);
    let mut reader = server.connect();
    reader.send(&Request::get(&image_path(&id))).unwrap();
    assert_eq!(reader.read_head().unwrap().status, 200);
    // More than the socket buffers hold, and less than the image.
    only_file(&server).set_len(30 << 20).unwrap();
    let got = reader.read_bytes(30 << 20).unwrap();
    assert!(got == data[..30 << 20]);
    assert!(reader.is_closed_by_server());
    server.request(&Request::get("/v1/images")).expect(200);
}

#[test]
fn downloads_and_uploads_share_workers() {
    let server = Setup::new().option("workers", 1).start();
    let data = pattern(4 << 20, 8);
    let id = server.upload(&[], &data);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..12 {
                    server.upload(&[], &data);
                }
            });
            scope.spawn(|| {
                for _ in 0..40 {
                    assert!(server.download(&id).expect(200).body == data);
                }
            });
        }
    });
}

#[test]
fn download_of_stalled_reader_is_dropped() {
    let server = Server::shared();
    let id = server.upload(&[], &pattern(8 << 20, 6));
    for _ in 0..10 {
        let mut connection = server.connect();
        connection.send(&Request::get(&image_path(&id))).unwrap();
        connection.read_head().unwrap();
        connection.read_bytes(1000).unwrap();
    }
    server.download(&id).expect(200);
}
