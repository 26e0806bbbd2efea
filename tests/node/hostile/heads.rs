//! Well-formed heads with invalid content: methods, paths, lengths.

use std::path::PathBuf;

use super::{assert_alive, outside_registry};
use crate::support::server::{STAGING, Setup};
use crate::support::v1::UPLOAD;

#[test]
fn unknown_methods_are_rejected() {
    let node = Setup::new().start();
    for (method, path, allowed) in [
        ("TRACE", "/v1/images", 405),
        ("BREW", "/v1/images", 405),
        ("PATCH", "/v1/images", 405),
        ("TRACE", "/v1/foo", 501),
    ] {
        let answer = node.ask(method, path, "", b"");
        assert_eq!(answer.status, allowed, "{method} {path}");
        // TRACE must not return the client's headers.
        assert!(!answer.text().contains("localhost"), "{method} {path}");
    }
}

#[test]
fn paths_reach_only_images() {
    let mut node = Setup::new().start();
    let before = outside_registry(&node);
    for path in [
        "/v1/images/..%2f..%2fregistry%2fdb",
        "/v1/images/%2e%2e",
        "/v1/images/%2e%2e%2f%2e%2e%2fglance-api.conf",
        "/v1/images/../../glance-api.conf",
        "/v1/images/.staging",
        "/v1/images/%00",
        "/v1/images/71c675ab-d94f-49cd-a114-e12490b328d9%00",
        "/v1/images/%c0%ae%c0%ae%2f",
        "/v1/images/%ff%fe",
        "/v1/images/%",
        "/v1/images/;/../x",
        "//v1//images",
        "/../..//etc/%2e%2e%2fpasswd%00",
        "/v1/images/71c675ab-d94f-49cd-a114-e12490b328d9/members/../../x",
    ] {
        for method in ["GET", "DELETE"] {
            let answer = node.ask(method, path, "", b"");
            let refused = matches!(answer.status, 300 | 400 | 404);
            assert!(
                refused,
                "{method} {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
    assert_eq!(outside_registry(&node), before);
    assert_alive(&mut node);
}

#[test]
fn requests_above_limits_are_rejected() {
    let mut node = Setup::new().start();
    let lines = |count: usize, name: &str| {
        let lines: Vec<String> = (0..count).map(|n| format!("{name}{n}: v")).collect();
        lines.join("\r\n")
    };
    let many_properties = |count| lines(count, "x-image-meta-property-p");
    let created = |headers: &str| node.ask("POST", "/v1/images", headers, b"").status;
    assert_eq!(created(&many_properties(128)), 201);
    assert_eq!(created(&many_properties(129)), 413);
    assert_eq!(created(&lines(300, "x-other-")), 431);
    assert_eq!(created(&format!("x-other: {}", "x".repeat(15 * 1024))), 201);
    // Glance's HTTP server rejected a longer line as malformed.
    assert_eq!(created(&format!("x-other: {}", "x".repeat(20 * 1024))), 400);
    assert_eq!(
        created(&format!("x-other: {}", "x".repeat(300 * 1024))),
        431
    );
    let long = format!("/v1/images?name={}", "x".repeat(70 * 1024));
    let answer = node.ask("GET", &long, "", b"");
    assert!(matches!(answer.status, 414 | 431), "{}", answer.status);
    assert_alive(&mut node);
}

#[test]
fn invalid_numbers_are_rejected() {
    let node = Setup::new().start();
    for field in ["size", "min_disk", "min_ram"] {
        for value in [
            "-1",
            "1e9",
            "0x10",
            "9223372036854775808",
            "18446744073709551616",
            "",
            "5,5",
            "٣",
        ] {
            let header = format!("x-image-meta-{field}: {value}");
            let answer = node.ask("POST", "/v1/images", &header, b"");
            assert_eq!(answer.status, 400, "{header}");
        }
        let twice = format!("x-image-meta-{field}: 5\r\nx-image-meta-{field}: 5");
        let answer = node.ask("POST", "/v1/images", &twice, b"");
        assert_eq!(answer.status, 400, "{field} twice");
    }
    let census = node.ask("GET", "/v1/images?is_public=None", "", b"").json();
    assert_eq!(census["images"].as_array().map(Vec::len), Some(0));
}

#[test]
fn unknown_fields_and_formats_are_rejected() {
    let node = Setup::new().start();
    for header in [
        "x-image-meta-foo: 1",
        "x-image-meta-: 1",
        "x-image-meta-disk_format: RAW",
        "x-image-meta-disk_format: ../raw",
        "x-image-meta-disk_format:",
        "x-image-meta-container_format: tar.gz",
        "x-image-meta-disk_format: ami\r\nx-image-meta-container_format: bare",
        "x-image-meta-disk_format: aki\r\nx-image-meta-container_format: ari",
        "x-image-meta-store: file:///etc",
        "x-image-meta-created_at: yesterday",
        "x-image-meta-checksum: 0123456789abcdef0123456789abcdef0",
    ] {
        let answer = node.ask("POST", "/v1/images", header, b"");
        assert_eq!(answer.status, 400, "{header}");
    }
}

#[test]
fn invalid_filters_are_rejected() {
    let node = Setup::new().start();
    for query in [
        "limit=-1",
        "limit=",
        "limit=1.5",
        "marker=71c675ab-d94f-49cd-a114-e12490b328d9",
        "marker=../..",
        "sort_key=password",
        "sort_dir=sideways",
        "size_min=abc",
        "size_max=-1",
        "min_ram=1.5",
        "changes-since=garbage",
        "is_public=perhaps",
        "protected=perhaps",
    ] {
        for list in ["/v1/images", "/v1/images/detail"] {
            let answer = node.ask("GET", &format!("{list}?{query}"), "", b"");
            assert_eq!(answer.status, 400, "{list}?{query}");
        }
    }
    for limit in ["1000000000", "99999999999999999999999"] {
        let answer = node.ask("GET", &format!("/v1/images?limit={limit}"), "", b"");
        assert_eq!(answer.status, 200, "a limit past the largest is cut to it");
    }
    let filters: Vec<String> = (0..1000).map(|n| format!("property-k{n}=v")).collect();
    let answer = node.ask("GET", &format!("/v1/images?{}", filters.join("&")), "", b"");
    assert_eq!(answer.status, 400, "more filters than anybody needs");
}

/// The admin pages are not on the API port, and no path that a client sends becomes a label.
#[test]
fn metrics_are_on_the_admin_port_and_bounded() {
    let node = Setup::new().start();
    for path in ["/metrics", "/v1/metrics", "/admin", "/debug/pprof"] {
        let answer = node.ask("GET", path, "", b"");
        assert!(
            matches!(answer.status, 300 | 404),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("glance_http"), "{path}");
    }
    let mut wire = node.connect();
    let mut visit = |rounds: std::ops::Range<usize>| {
        for round in rounds {
            let path = format!("/v1/r{round}/x");
            wire.ask("GET", &path, "", b"").expect("an answer");
            let path = format!("/v1/images/{round}");
            wire.ask(&format!("M{round}"), &path, "", b"")
                .expect("an answer");
        }
    };
    let series = || {
        node.metrics()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
    };
    visit(0..10);
    // The first scrape adds the route of the metrics themselves.
    series();
    let before = series();
    visit(10..1500);
    assert_eq!(series(), before);
}

/// After a rejected upload, its body must not be parsed as requests.
#[test]
fn body_of_rejected_upload_is_not_parsed_as_requests() {
    let node = Setup::new().start();
    let body = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64);
    for headers in ["x-image-meta-foo: 1", "x-image-meta-disk_format: nope"] {
        let mut wire = node.connect();
        let headers = format!("{headers}\r\nContent-Type: application/octet-stream");
        let answer = wire
            .ask("POST", "/v1/images", &headers, &body)
            .expect("an answer");
        assert_eq!(answer.status, 400);
        if answer.header("connection") != Some("close")
            && let Ok(answer) = wire.ask("POST", "/v1/images", UPLOAD, b"abc")
        {
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
    }
    assert!(!node.log().contains("/smuggled"));
    let stored = node.stored_files();
    let staged = |(path, _): &(PathBuf, u64)| path.starts_with(STAGING);
    assert!(!stored.iter().any(staged), "{stored:?}");
}
