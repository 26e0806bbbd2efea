//! Connections: keep-alive, pipelining, limits of heads, slow readers, concurrent transfers.

use std::io::Write;
use std::time::Duration;

use crate::support::bytes::Chance;
use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{RAW, image_path, post_data};
use crate::support::{md5_hex, pattern, unique};

#[test]
fn connection_serves_many_requests_including_errors() {
    let server = Server::shared();
    let mut connection = server.connect();
    for _ in 0..3 {
        connection.request(&Request::get("/v1/images")).expect(200);
        connection
            .request(&Request::get("/v1/images?limit=x"))
            .expect(400);
        connection
            .request(&Request::get("/v1/images/7"))
            .expect(404);
        connection
            .request(&Request::new("BREW", "/v1/images"))
            .expect(405);
        connection.request(&Request::post("/v1/images")).expect(201);
    }
}

#[test]
fn upload_and_download_share_a_connection() {
    let server = Server::shared();
    let mut connection = server.connect();
    for size_bytes in [1, 4096, 300_000, 0, 70_000] {
        let data = pattern(size_bytes, size_bytes as u64);
        let upload = post_data(&[], &[]).chunked(data.chunks(10_000));
        let created = connection.request(&upload).expect(201);
        let path = image_path(&crate::support::v1::id_of(&created));
        let answer = connection.request(&Request::get(&path)).expect(200);
        assert!(answer.body == data, "{size_bytes} bytes came back changed");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::shared();
    let id = server.upload(&[], b"some data");
    let mut connection = server.connect();
    let mut bytes = Request::get("/versions").head_bytes();
    bytes.extend(Request::get(&image_path(&id)).head_bytes());
    bytes.extend(Request::head(&image_path(&id)).head_bytes());
    connection.send_bytes(&bytes).unwrap();
    let first = connection.read_response("GET").unwrap();
    assert!(first.json()["versions"].is_array());
    assert_eq!(connection.read_response("GET").unwrap().body, b"some data");
    assert_eq!(connection.read_response("HEAD").unwrap().status, 200);
}

/// Bodies arrive with the head, in one piece, byte by byte, and directly followed by the next
/// request: wherever the pieces end, each request gets its own bytes.
#[test]
fn uploads_cut_anywhere_and_pipelined_keep_their_bytes() {
    const REQUESTS: usize = 8;
    let server = Server::shared();
    let mut chance = Chance::new(7);
    for _ in 0..12 {
        let bodies: Vec<Vec<u8>> = (0..REQUESTS)
            .map(|_| {
                let len = [1, 300, 9_000, 262_144, 300_000, 1_400_000][chance.below(6) as usize];
                let more = chance.below(3) as usize;
                chance.bytes(len + more)
            })
            .collect();
        let stream: Vec<u8> = bodies
            .iter()
            .flat_map(|body| [post_data(&[], body).head_bytes(), body.clone()].concat())
            .collect();
        let mut receiver = server.connect();
        let mut sender = receiver.stream().try_clone().unwrap();
        let mut cuts = chance.fork();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut rest = stream.as_slice();
                while !rest.is_empty() {
                    let most = [50, 5_000, 100_000, 3_000_000][cuts.below(4) as usize];
                    let (piece, behind) =
                        rest.split_at(rest.len().min(1 + cuts.below(most) as usize));
                    sender.write_all(piece).unwrap();
                    rest = behind;
                    if cuts.below(3) == 0 {
                        std::thread::sleep(Duration::from_micros(300));
                    }
                }
            });
            for body in &bodies {
                let created = receiver.read_response("POST").unwrap().expect(201);
                assert_eq!(
                    created.header("etag"),
                    Some(md5_hex(body).as_str()),
                    "{}",
                    body.len()
                );
            }
        });
    }
}

#[test]
fn http_1_0_gets_one_answer_with_a_length() {
    let server = Server::shared();
    let id = server.upload(&[], b"some data");
    let mut connection = server.connect();
    let request = format!("GET /v1/images/{id} HTTP/1.0\r\n\r\n");
    connection.send_bytes(request.as_bytes()).unwrap();
    let answer = connection.read_response("GET").unwrap().expect(200);
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.header("content-length"), Some("9"));
    assert_eq!(answer.body, b"some data");
    assert!(connection.is_closed_by_server());
}

#[test]
fn connection_close_is_honoured() {
    let mut connection = Server::shared().connect();
    let request = Request::get("/v1/images").header("Connection", "close");
    connection.request(&request).expect(200);
    assert!(connection.is_closed_by_server());
}

#[test]
fn slow_reader_delays_no_other_client() {
    let server = Server::shared();
    let id = server.upload(&[], &pattern(16 << 20, 1));
    // More clients than workers; each reads nothing after the head.
    let mut slow: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for connection in &mut slow {
        connection.send(&Request::get(&image_path(&id))).unwrap();
        assert_eq!(connection.read_head().unwrap().status, 200);
    }
    for _ in 0..20 {
        server
            .request(&Request::get("/v1/images?limit=1"))
            .expect(200);
    }
    let data = pattern(100_000, 2);
    let other = server.upload(&[], &data);
    assert!(server.download(&other).expect(200).body == data);
}

#[test]
fn concurrent_uploads_and_downloads_succeed() {
    let server = Server::shared();
    std::thread::scope(|scope| {
        for seed in 0..8 {
            scope.spawn(move || {
                let data = pattern(1_000_000 + seed as usize * 4097, seed);
                let id = server.upload(&[], &data);
                for _ in 0..3 {
                    assert!(server.download(&id).expect(200).body == data);
                }
            });
        }
    });
}

#[test]
fn head_limits_are_100_headers_and_30_kib() {
    let names: Vec<String> = (0..128)
        .map(|n| format!("x-image-meta-property-p{n}"))
        .collect();
    let mut request = Request::post("/v1/images").headers(RAW);
    for name in &names {
        request = request.header(name, "v".repeat(220));
    }
    assert!(request.head_bytes().len() > 30 * 1024);
    let created = Server::shared().request(&request).expect(201);
    let image = crate::support::v1::image_of(&created);
    assert_eq!(image["properties"].as_object().unwrap().len(), 128);
}

#[test]
fn header_lines_up_to_16_kib_are_accepted() {
    let server = Server::shared();
    let name = "x-image-meta-property-long";
    let line = |bytes: usize| {
        // Colon, space, CR and LF are four bytes of the line.
        let value = "v".repeat(bytes - name.len() - 4);
        Request::post("/v1/images").header(name, value)
    };
    let id = crate::support::v1::id_of(&server.request(&line(16_384)).expect(201));
    let head = server.head(&id).expect(200);
    assert_eq!(head.header(name).unwrap().len(), 16_384 - name.len() - 4);
    let marker = unique("long");
    let refused = line(16_385).header("x-image-meta-name", &marker);
    server.request(&refused).expect(400);
    assert!(
        server
            .listed(&format!("is_public=None&name={marker}"))
            .is_empty()
    );
}

#[test]
fn idle_connection_stays_open() {
    let mut connection = Server::shared().connect();
    connection.request(&Request::get("/v1/images")).expect(200);
    assert!(
        connection
            .is_silent_for(Duration::from_millis(300))
            .unwrap()
    );
    connection.request(&Request::get("/v1/images")).expect(200);
}

#[test]
fn heads_past_the_limit_and_headers_past_count_are_431() {
    let server = Server::shared();
    let large = (0..5).fold(Request::post("/v1/images"), |request, n| {
        request.header(&format!("x-image-meta-property-{n}"), "v".repeat(15_000))
    });
    server.request(&large).expect(431);
    let many = (0..300).fold(Request::get("/v1/images"), |request, n| {
        request.header(&format!("x-{n}"), "v")
    });
    server.request(&many).expect(431);
}
