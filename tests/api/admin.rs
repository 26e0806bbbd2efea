//! The admin listener: `/metrics` and `/healthcheck`.

use std::io::Write;
use std::time::Duration;

use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::{eventually, skip};

fn ask(server: &Server, request: &Request) -> Response {
    server.connect_admin().request(request)
}

fn metrics(server: &Server) -> String {
    let answer = ask(server, &Request::get("/metrics")).expect(200);
    let content_type = answer.header("content-type").unwrap();
    assert!(
        content_type.starts_with("text/plain; version=0.0.4"),
        "{content_type}"
    );
    answer.text().to_owned()
}

/// Returns the value of the one sample whose line starts with this text.
fn sample(metrics: &str, start: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(start))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn metrics_count_requests_and_transfers() {
    let server = Setup::new().start();
    let id = server.upload(&[], &[7; 5000]);
    server.download(&id).expect(200);
    server.download(&id).expect(200);
    server
        .request(&Request::get("/v1/images?limit=x"))
        .expect(400);
    // The counters of a response change after its last byte is sent.
    let text = eventually("both downloads are counted", || {
        let text = metrics(&server);
        let downloads = "glance_http_requests_total{";
        let mut lines = text.lines().filter(|line| line.starts_with(downloads));
        let counted = lines.any(|line| line.contains("\"download\"") && line.ends_with(" 2"));
        counted.then_some(text)
    });
    for name in [
        "glance_http_requests_total",
        "glance_http_request_duration_seconds",
        "glance_http_requests_in_flight",
        "glance_image_transfer_bytes_total",
        "glance_images",
        "process_",
    ] {
        assert!(text.contains(name), "no {name} in\n{text}");
    }
    let active = sample(&text, "glance_images{status=\"active\"}");
    assert_eq!(active, Some(1.0), "{text}");
    let transfers: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("glance_image_transfer_bytes_total{"))
        .collect();
    let moved = |direction: &str| {
        let line = transfers.iter().find(|line| line.contains(direction));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
    };
    assert_eq!(moved("upload"), Some(5000), "{transfers:?}");
    assert_eq!(moved("download"), Some(10_000), "{transfers:?}");
    assert!(!text.contains(&id), "no image is a label");
}

#[test]
fn tenants_port_has_no_metrics() {
    Server::shared()
        .request(&Request::get("/metrics"))
        .expect(300);
}

#[test]
fn admin_port_has_no_images() {
    let server = Server::shared();
    for path in ["/", "/v1/images", "/images", "/versions"] {
        ask(server, &Request::get(path)).expect(404);
    }
    let refused = ask(server, &Request::post("/metrics")).expect(405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
}

#[test]
fn healthcheck_is_on_both_listeners() {
    let folder = tempfile::tempdir().unwrap();
    let switch = folder.path().join("out-of-service");
    let setup = Setup::new().option_in("healthcheck", "disable_by_file_path", switch.display());
    let server = setup.start();
    let health = Request::get("/healthcheck");
    assert_eq!(ask(&server, &health).expect(200).text(), "OK");
    assert_eq!(server.request(&health).expect(200).text(), "OK");
    std::fs::write(&switch, "").unwrap();
    ask(&server, &health).expect(503);
    server.request(&health).expect(503);
    server.request(&Request::get("/v1/images")).expect(200);
    std::fs::remove_file(&switch).unwrap();
    ask(&server, &health).expect(200);
    assert!(
        ask(&server, &Request::head("/healthcheck"))
            .expect(200)
            .body
            .is_empty()
    );
}

/// Connections above the limit wait in the kernel and use no file descriptors.
#[test]
fn admin_connections_above_the_limit_wait() {
    let server = Setup::new().option("admin_max_connections", 2).start();
    let mut crowd: Vec<_> = (0..2).map(|_| server.connect_admin()).collect();
    for connection in &mut crowd {
        connection
            .request(&Request::get("/healthcheck"))
            .expect(200);
    }
    let mut waiting = server.connect_admin();
    waiting.send(&Request::get("/healthcheck")).unwrap();
    assert!(waiting.is_silent_for(Duration::from_millis(300)).unwrap());
    drop(crowd);
    waiting.read_response("GET").unwrap().expect(200);
}

#[test]
fn port_zero_disables_the_admin_listener() {
    let server = Setup::new().option("admin_bind_port", 0).start();
    server.request(&Request::get("/v1/images")).expect(200);
    let refused = crate::support::http::Connection::open(server.admin_address());
    assert!(refused.is_err());
    assert!(!server.log().contains("/metrics"), "{}", server.log());
}

/// promtool checks names, types and help texts.
#[test]
fn promtool_accepts_the_metrics() {
    let server = Server::shared();
    server.upload(&[], b"data");
    let text = metrics(server);
    let promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        let because = "promtool is not installed (Debian's prometheus)";
        return skip("promtool_finds_nothing_wrong_with_the_metrics", because);
    };
    let mut stdin = promtool.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("read");
    drop(stdin);
    let output = promtool.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}{text}");
}
