//! `POST /v1/images` with data.

use serde_json::{Value, json};

use super::create::fresh_id;
use crate::support::http::{LAST_CHUNK, Request, chunk_bytes};
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, id_of, image_of, post, post_data};
use crate::support::{eventually, md5_hex, pattern};

const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

#[test]
fn upload_makes_image_active() {
    let server = Server::shared();
    let data = pattern(123_456, 1);
    let created = server
        .request(&post_data(&[("x-image-meta-name", "n")], &data))
        .expect(201);
    let image = image_of(&created);
    let sum = md5_hex(&data);
    assert_eq!(image["status"], "active");
    assert_eq!(image["size"], json!(data.len()));
    assert_eq!(image["checksum"], json!(sum));
    assert_eq!(created.header("etag"), Some(sum.as_str()), "without quotes");
    let id = id_of(&created);
    assert!(server.download(&id).expect(200).body == data);
    let stored: Vec<_> = server.stored_files();
    let mine = stored.iter().find(|(path, _)| path.ends_with(&id));
    assert_eq!(mine.map(|(_, size)| *size), Some(data.len() as u64));
}

#[test]
fn sizes_around_block_boundaries_are_stored() {
    let server = Server::shared();
    for size in [
        1, 63, 64, 511, 512, 513, 4095, 4096, 4097, 65_536, 262_145, 1_048_576, 3_000_001,
    ] {
        let data = pattern(size, size as u64);
        let id = server.upload(&[], &data);
        let got = server.download(&id).expect(200);
        assert!(got.body == data, "{size} bytes came back changed");
        assert_eq!(got.header("etag"), Some(md5_hex(&data).as_str()), "{size}");
    }
}

#[test]
fn chunks_of_any_size_are_stored() {
    let server = Server::shared();
    let data = pattern(200_000, 2);
    for chunk in [1000, 4096, 65_537, 200_000] {
        let request = post(RAW).headers(&[OCTETS]).chunked(data.chunks(chunk));
        let created = server.request(&request).expect(201);
        assert_eq!(
            image_of(&created)["checksum"],
            json!(md5_hex(&data)),
            "{chunk}"
        );
    }
    let request = post(RAW).headers(&[OCTETS]).chunked(data[..300].chunks(1));
    let created = server.request(&request).expect(201);
    assert_eq!(image_of(&created)["checksum"], json!(md5_hex(&data[..300])));
}

#[test]
fn chunk_extensions_and_trailers_are_ignored() {
    let server = Server::shared();
    let mut connection = server.connect();
    let head = post(RAW)
        .headers(&[OCTETS])
        .header("Transfer-Encoding", "chunked");
    connection.send_head(&head).unwrap();
    let body = b"4;name=value\r\ndata\r\n0\r\nX-Trailer: 1\r\n\r\n";
    connection.send_bytes(body).unwrap();
    let created = connection.read_response("POST").unwrap().expect(201);
    assert_eq!(image_of(&created)["checksum"], json!(md5_hex(b"data")));
    connection.request(&Request::get("/v1/images")).expect(200);
}

#[test]
fn empty_chunked_body_is_upload() {
    let server = Server::shared();
    let request = post(RAW).headers(&[OCTETS]).chunked([[0u8; 0]; 0]);
    let created = server.request(&request).expect(201);
    let image = image_of(&created);
    assert_eq!(
        (&image["status"], &image["size"]),
        (&json!("active"), &json!(0))
    );
    assert_eq!(image["checksum"], json!(EMPTY_MD5));
    assert!(
        server
            .download(&id_of(&created))
            .expect(200)
            .body
            .is_empty()
    );
}

#[test]
fn stated_size_of_zero_is_not_checked() {
    let created = Server::shared().request(&post_data(&[("x-image-meta-size", "0")], b"data"));
    assert_eq!(image_of(&created.expect(201))["size"], json!(4));
}

#[test]
fn true_statements_pass() {
    let sum = md5_hex(b"data");
    let headers = [
        ("x-image-meta-size", "4"),
        ("x-image-meta-checksum", sum.as_str()),
    ];
    let created = Server::shared()
        .request(&post_data(&headers, b"data"))
        .expect(201);
    assert_eq!(image_of(&created)["checksum"], json!(sum));
}

#[test]
fn content_type_may_have_parameters() {
    for content_type in [
        "application/octet-stream; charset=binary",
        "Application/Octet-Stream",
    ] {
        let request = post(RAW).header("Content-Type", content_type).body("data");
        Server::shared().request(&request).expect(201);
    }
}

/// Checks that the request fails with 400, that its image is killed, and that no data remain.
#[track_caller]
fn killed(request: Request) -> String {
    let server = Server::shared();
    let id = fresh_id();
    server
        .request(&request.header("x-image-meta-id", &id))
        .expect(400);
    assert_eq!(server.status_of(&id), "killed");
    server.await_nothing_stored(&id);
    server.download(&id).expect(404);
    id
}

#[test]
fn other_content_type_kills() {
    for content_type in [
        "application/json",
        "text/plain",
        "application/octet-streams",
        "",
    ] {
        killed(post(RAW).header("Content-Type", content_type).body("data"));
    }
    killed(post(RAW).body("data"));
    killed(post(RAW).chunked(["data"]));
}

#[test]
fn wrong_size_kills() {
    for size in ["3", "5", "1000000"] {
        let id = killed(post_data(&[("x-image-meta-size", size)], b"data"));
        let head = Server::shared().head(&id).expect(200);
        assert_eq!(
            head.header("x-image-meta-size"),
            Some(size),
            "as it was stated"
        );
        let chunked = post(RAW).headers(&[OCTETS, ("x-image-meta-size", size)]);
        killed(chunked.chunked(["da", "ta"]));
    }
}

#[test]
fn wrong_checksum_kills() {
    let upper = md5_hex(b"data").to_uppercase();
    for sum in ["0", "d41d8cd98f00b204e9800998ecf8427e", &upper] {
        let id = killed(post_data(&[("x-image-meta-checksum", sum)], b"data"));
        let head = Server::shared().head(&id).expect(200);
        assert_eq!(
            head.header("x-image-meta-checksum"),
            Some(sum),
            "compared as text"
        );
    }
}

#[test]
fn killed_image_can_change_but_refuses_data() {
    let server = Server::shared();
    let id = killed(post(RAW).body("data"));
    let list = format!("is_public=None&id={id}");
    assert!(server.listed(&list).is_empty(), "never in lists");
    let rename = crate::support::v1::put(&id, &[("x-image-meta-name", "late")]);
    assert_eq!(
        image_of(&server.request(&rename).expect(200))["status"],
        "killed"
    );
    server
        .request(&crate::support::v1::put_data(&id, &[], b"data"))
        .expect(409);
    server.remove(&id).expect(200);
}

#[test]
fn missing_format_leaves_image_queued() {
    let server = Server::shared();
    for headers in [&RAW[..0], &RAW[..1], &RAW[1..]] {
        let id = fresh_id();
        let request = post(headers).headers(&[OCTETS, ("x-image-meta-id", &id)]);
        let refused = server.request(&request.body("data")).expect(400);
        assert!(
            refused.text().contains("format is not specified."),
            "{}",
            refused.text()
        );
        assert_eq!(server.status_of(&id), "queued");
        assert!(!server.has_stored(&id));
    }
}

#[test]
fn image_is_saving_during_upload() {
    let server = Server::shared();
    let id = fresh_id();
    let mut connection = server.connect();
    let head = post(RAW).headers(&[OCTETS, ("x-image-meta-id", &id)]);
    let head = head.header("Transfer-Encoding", "chunked");
    connection.send_head(&head).unwrap();
    connection.send_bytes(&chunk_bytes(b"first ")).unwrap();
    eventually("it is saving", || {
        (server.head(&id).status == 200).then_some(())
    });
    assert_eq!(server.status_of(&id), "saving");
    server.download(&id).expect(404);
    assert_eq!(
        server.listed(&format!("is_public=None&id={id}")),
        [id.as_str()]
    );
    connection.send_bytes(&chunk_bytes(b"second")).unwrap();
    connection.send_bytes(LAST_CHUNK).unwrap();
    connection.read_response("POST").unwrap().expect(201);
    assert_eq!(server.download(&id).expect(200).body, b"first second");
}

#[test]
fn disconnect_kills() {
    let server = Server::shared();
    for framing in [
        ("Content-Length", "1000000"),
        ("Transfer-Encoding", "chunked"),
    ] {
        let id = fresh_id();
        let mut connection = server.connect();
        let head = post(RAW).headers(&[OCTETS, framing, ("x-image-meta-id", &id)]);
        connection.send_head(&head).unwrap();
        connection
            .send_bytes(&chunk_bytes(&pattern(5000, 1)))
            .unwrap();
        eventually("it is saving", || {
            (server.head(&id).status == 200).then_some(())
        });
        drop(connection);
        eventually("it is killed", || {
            (server.status_of(&id) == "killed").then_some(())
        });
        server.await_nothing_stored(&id);
    }
}

#[test]
fn truncated_body_gets_response_on_half_closed_connection() {
    let server = Server::shared();
    let id = fresh_id();
    let mut connection = server.connect();
    let head = post(RAW).headers(&[OCTETS, ("Content-Length", "10"), ("x-image-meta-id", &id)]);
    connection.send_head(&head).unwrap();
    connection.send_bytes(b"short").unwrap();
    connection.finish_sending().unwrap();
    connection.read_response("POST").unwrap().expect(400);
    eventually("it is killed", || {
        (server.status_of(&id) == "killed").then_some(())
    });
    server.await_nothing_stored(&id);
}

#[test]
fn continue_is_sent_for_accepted_data() {
    let mut connection = Server::shared().connect();
    let head = post(RAW).headers(&[OCTETS, ("Expect", "100-continue"), ("Content-Length", "4")]);
    connection.send_head(&head).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send_bytes(b"data").unwrap();
    let created = connection.read_response("POST").unwrap().expect(201);
    assert_eq!(image_of(&created)["size"], json!(4));
}

#[test]
fn continue_is_not_sent_for_refused_data() {
    let server = Server::shared();
    for (header, value, status) in [
        ("x-image-meta-disk_format", "floppy", 400),
        ("x-image-meta-foo", "x", 400),
        ("x-image-meta-store", "tape", 400),
        ("x-image-meta-id", server.reserve().as_str(), 409),
    ] {
        let mut connection = server.connect();
        let head = post(&RAW[1..]).headers(&[OCTETS, (header, value), ("Expect", "100-continue")]);
        let head = head.header("Content-Length", "1000000");
        connection.send_head(&head).unwrap();
        let answer = connection.read_head().unwrap();
        assert_eq!(answer.status, status, "{header}: {value}");
    }
}

#[test]
fn checksum_is_set_after_upload() {
    let id = Server::shared().upload(&[], b"x");
    assert_ne!(Server::shared().detail_of(&id)["checksum"], Value::Null);
}
