//! SIGTERM: requests in progress complete first.

use std::time::{Duration, Instant};

use crate::support::http::{Connection, LAST_CHUNK, Request, chunk_bytes};
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, image_path, post};
use crate::support::{eventually, pattern};

/// Shorter than every default timeout of a server (60 s).
const LIMIT: Duration = Duration::from_secs(20);

/// Waits until the server takes no new clients.
#[track_caller]
fn await_no_more_taken(server: &Server) {
    eventually("it takes no more", || {
        Connection::open(server.address()).is_err().then_some(())
    });
}

#[test]
fn idle_server_ends_at_once() {
    let mut server = Setup::new().start();
    let mut idle = server.connect();
    idle.request(&Request::get("/v1/images")).expect(200);
    let _never_used = server.connect();
    let began = Instant::now();
    server.terminate();
    let status = server.wait(LIMIT);
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(began.elapsed() < LIMIT, "idle connections hold up nothing");
    assert!(idle.is_closed_by_server());
}

#[test]
fn download_completes_during_a_drain() {
    let mut server = Setup::new().start();
    let data = pattern(48 << 20, 1);
    let id = server.upload(&[], &data);
    let mut reader = server.connect();
    reader.send(&Request::get(&image_path(&id))).unwrap();
    assert_eq!(reader.read_head().unwrap().status, 200);
    let mut got = reader.read_bytes(1 << 20).unwrap();
    server.terminate();
    await_no_more_taken(&server);
    std::thread::sleep(Duration::from_millis(200));
    got.extend(reader.read_bytes(data.len() - got.len()).unwrap());
    assert!(got == data);
    assert!(reader.is_closed_by_server());
    assert_eq!(server.wait(LIMIT).code(), Some(0));
    let log = server.log();
    assert!(
        log.contains("SIGTERM") && log.contains("every request was completed"),
        "{log}"
    );
}

#[test]
fn upload_completes_during_a_drain() {
    let mut server = Setup::new().start();
    let id = uuid::Uuid::new_v4().to_string();
    let mut connection = server.connect();
    let head = post(RAW).headers(&[OCTETS, ("x-image-meta-id", &id)]);
    let head = head.header("Transfer-Encoding", "chunked");
    connection.send_head(&head).unwrap();
    connection.send_bytes(&chunk_bytes(b"before ")).unwrap();
    eventually("it is saving", || {
        (server.head(&id).status == 200).then_some(())
    });
    server.terminate();
    await_no_more_taken(&server);
    connection.send_bytes(&chunk_bytes(b"after")).unwrap();
    connection.send_bytes(LAST_CHUNK).unwrap();
    connection.read_response("POST").unwrap().expect(201);
    assert_eq!(server.wait(LIMIT).code(), Some(0));
    server.restart();
    assert_eq!(server.download(&id).expect(200).body, b"before after");
}

#[test]
fn healthcheck_reports_draining() {
    let mut server = Setup::new().start();
    let data = pattern(32 << 20, 2);
    let id = server.upload(&[], &data);
    let mut reader = server.connect();
    reader.send(&Request::get(&image_path(&id))).unwrap();
    reader.read_head().unwrap();
    let mut operator = server.connect_admin();
    operator.request(&Request::get("/healthcheck")).expect(200);
    server.terminate();
    await_no_more_taken(&server);
    let health = Request::get("/healthcheck");
    let answer = server.connect_admin().request(&health).expect(503);
    assert_eq!(answer.text(), "DRAINING");
    reader.read_bytes(data.len()).unwrap();
    assert_eq!(server.wait(LIMIT).code(), Some(0));
}

/// A stalled download and a stalled upload.
fn stuck(server: &Server) -> [Connection; 2] {
    let id = server.upload(&[], &pattern(32 << 20, 3));
    let mut reader = server.connect();
    reader.send(&Request::get(&image_path(&id))).unwrap();
    reader.read_head().unwrap();
    let id = uuid::Uuid::new_v4().to_string();
    let mut uploader = server.connect();
    let head = post(RAW).headers(&[OCTETS, ("x-image-meta-id", &id)]);
    uploader.send_head(&head.announce(1000)).unwrap();
    uploader.send_bytes(b"a part").unwrap();
    eventually("it is saving", || {
        (server.head(&id).status == 200).then_some(())
    });
    [reader, uploader]
}

#[test]
fn drain_time_is_limited() {
    let mut server = Setup::new().option("drain_timeout", 1).start();
    let _stuck = stuck(&server);
    let began = Instant::now();
    server.terminate();
    let status = server.wait(LIMIT);
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "it was given its time"
    );
    assert!(began.elapsed() < Duration::from_secs(10), "and no more");
    assert_eq!(status.code(), Some(0), "{}", server.log());
    server.expect_log("drain timed out");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.restart();
    server.request(&Request::get("/v1/images")).expect(200);
}

#[test]
fn drain_time_after_a_reload_is_limited() {
    let setup = Setup::new().option("reload_timeout", 1).with_pid_file();
    let mut server = setup.start();
    let _stuck = stuck(&server);
    server.reload();
    server.await_retired(LIMIT);
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.request(&Request::get("/v1/images")).expect(200);
    server.terminate();
    assert!(server.wait(LIMIT).success());
}

#[test]
fn incomplete_head_does_not_delay_the_shutdown() {
    let mut server = Setup::new().start();
    let mut first = server.connect();
    first.send_bytes(b"GET /v1/ima").unwrap();
    let mut second = server.connect();
    second.request(&Request::get("/v1/images")).expect(200);
    second.send_bytes(b"PUT /v1/images HTTP/1.1\r\nHo").unwrap();
    // The last connection has served a request on the fast path.
    let id = server.reserve();
    let mut third = server.connect();
    third.request(&Request::head(&image_path(&id))).expect(200);
    third.send_bytes(b"HEAD /v1/images/").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    server.terminate();
    assert_eq!(server.wait(LIMIT).code(), Some(0), "{}", server.log());
    server.expect_log("every request was completed");
}

#[test]
fn sighup_ends_nothing() {
    let server = Setup::new().start();
    server.signal("HUP");
    eventually("it says so", || {
        server.log().contains("SIGHUP").then_some(())
    });
    server.request(&Request::get("/v1/images")).expect(200);
}
