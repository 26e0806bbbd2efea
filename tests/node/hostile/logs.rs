//! Client input must not forge log lines.

use std::io::Write;

use crate::support::server::Setup;

#[test]
fn request_is_one_log_line_whatever_it_contains() {
    let mut node = Setup::new().option("debug", true).start();
    let forged = "2001-01-01 00:00:00     INFO [glance] forged";
    let paths: Vec<Vec<u8>> = vec![
        b"/v1/images/%0a2001-01-01%20forged".to_vec(),
        b"/v1/images/%1b%5b2J%1b]0;x%07".to_vec(),
        "/v1/images/\u{202e}gnp.exe".into(),
        "/v1/images/\u{2028}forged".into(),
        b"/v1/images?name=%0d%0aforged".to_vec(),
        b"/v1/images/x\" status=200 sent_bytes=0 \"".to_vec(),
        b"/v1/images/\x1b[2J".to_vec(),
        b"/v1/images/\xff\xfe".to_vec(),
    ];
    let mut answered = 0;
    for path in &paths {
        let mut wire = node.connect();
        let mut request = b"GET ".to_vec();
        request.extend_from_slice(path);
        request.extend_from_slice(b" HTTP/1.1\r\nHost: localhost\r\n");
        write!(
            request,
            "User-Agent: x\u{85}{forged}\r\nX-Openstack-Request-Id: y\u{2028}z\r\n\r\n"
        )
        .expect("written");
        wire.send_bytes(&request).expect("sent");
        if wire.read_response("GET").is_ok() {
            answered += 1;
        }
    }
    // Errors bring metadata into the log.
    let name = format!(
        "x-image-meta-name: a\u{2028}{forged}\u{202e}\r\nx-image-meta-disk_format: \u{202e}x"
    );
    node.ask("POST", "/v1/images", &name, b"");
    assert!(answered >= 4, "{answered}");
    node.stop();
    let log = node.log();
    for line in log.lines() {
        assert!(
            line.starts_with("20") && !line.starts_with("2001"),
            "{line:?}"
        );
        let safe = |sign: char| !sign.is_control() && !('\u{200b}'..='\u{202e}').contains(&sign);
        assert!(line.chars().all(safe), "{line:?}");
    }
    let access = log
        .lines()
        .filter(|line| line.contains(" GET /v1/images"))
        .count();
    assert!(access >= answered / 2, "{log}");
}

/// Failures that a client can cause log no stack trace and no panic.
#[test]
fn client_errors_log_no_stack_trace_or_panic() {
    let mut node = Setup::new().start();
    for (method, path) in [
        ("GET", "/v1/images/x"),
        ("PUT", "/v1/images/x"),
        ("BREW", "/"),
    ] {
        node.ask(method, path, "", b"");
    }
    node.connect()
        .send_bytes(b"nonsense\r\n\r\n")
        .expect("sent");
    node.stop();
    let log = node.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}
