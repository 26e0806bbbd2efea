//! The format of errors, and the request id of every response.

use serde_json::Value;

use crate::support::http::{Request, Response};
use crate::support::server::Server;
use crate::support::unique;

const UNKNOWN: &str = "/v1/images/71c675ab-d94f-49cd-a114-e12490b328d9";

fn not_found(accept: Option<&str>) -> Response {
    let mut request = Request::get(UNKNOWN);
    if let Some(accept) = accept {
        request = request.header("Accept", accept);
    }
    Server::shared().request(&request).expect(404)
}

#[test]
fn json_errors_for_clients_that_accept_json() {
    for accept in [
        "application/json",
        "text/html, application/json;q=0.5",
        "*/*, application/json",
    ] {
        let body = not_found(Some(accept)).json();
        assert_eq!(body["code"], "404 Not Found");
        assert_eq!(body["title"], "Not Found");
        let message = body["message"].as_str().expect("a message");
        let detail = "Image with identifier 71c675ab-d94f-49cd-a114-e12490b328d9 not found";
        assert!(message.contains(detail), "{message}");
    }
}

#[test]
fn html_errors_for_browsers() {
    for accept in ["text/html", "*/*", "text/html;q=0.9, */*;q=0.1"] {
        let page = not_found(Some(accept));
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=UTF-8")
        );
        assert!(page.text().contains("<h1>404 Not Found</h1>"), "{page:?}");
    }
}

#[test]
fn plain_text_errors_for_other_clients() {
    for accept in [None, Some("text/plain"), Some("image/png")] {
        let page = not_found(accept);
        assert_eq!(
            page.header("content-type"),
            Some("text/plain; charset=UTF-8")
        );
        let text = page.text();
        assert!(
            text.starts_with("404 Not Found\n\nThe resource could not be found."),
            "{text}"
        );
        assert!(
            text.contains("71c675ab-d94f-49cd-a114-e12490b328d9"),
            "{text}"
        );
    }
}

#[test]
fn html_errors_escape_values() {
    let request = Request::get("/v1/images/%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    let page = Server::shared()
        .request(&request.header("Accept", "text/html"))
        .expect(404);
    assert!(!page.text().contains("<script>"), "{}", page.text());
    assert!(page.text().contains("&lt;script&gt;"), "{}", page.text());
}

#[test]
fn head_of_an_error_has_no_body() {
    let answer = Server::shared()
        .request(&Request::head(UNKNOWN))
        .expect(404);
    assert!(answer.header("content-length").is_some());
    assert!(answer.body.is_empty());
}

#[test]
fn messages_name_field_and_reason() {
    let server = Server::shared();
    for (name, value, word) in [
        ("x-image-meta-size", "many", "many"),
        ("x-image-meta-size", "many", "size"),
        ("x-image-meta-sice", "1", "x-image-meta-sice"),
        ("x-image-meta-disk_format", "floppy", "floppy"),
        ("x-image-meta-store", "tape", "tape"),
    ] {
        let request = Request::post("/v1/images").header(name, value);
        let answer = server
            .request(&request.header("Accept", "application/json"))
            .expect(400);
        let message = answer.json()["message"].to_string();
        assert!(message.contains(word), "{message} has no {word}");
    }
}

#[test]
fn list_errors_name_parameter_and_value() {
    let server = Server::shared();
    for (query, words) in [
        ("size_min=abc", "size_min got abc"),
        ("size_max=1.5", "size_max got 1.5"),
        ("min_ram=-1", "min_ram got -1"),
        ("limit=x", "limit got x"),
        ("marker=7", "marker got 7"),
        ("sort_key=password", "sort_key got password"),
        ("sort_dir=up", "sort_dir got up"),
        ("protected=yes", "protected got yes"),
        ("is_public=perhaps", "is_public got perhaps"),
        ("changes-since=yesterday", "changes-since got yesterday"),
    ] {
        for list in ["images", "images/detail"] {
            let answer = server.request(&Request::get(&format!("/v1/{list}?{query}")));
            let answer = answer.expect(400);
            assert!(answer.text().contains(words), "{}", answer.text());
        }
    }
}

/// Sends malformed bodies to every path that reads JSON.
#[test]
fn errors_name_no_rust_type() {
    let server = Server::shared();
    let members = format!("/v1/images/{}/members", server.reserve());
    let member = format!("{members}/t");
    for body in [
        "[]",
        "[[]]",
        "7",
        "\"x\"",
        "{",
        "nul",
        "{\"member\":[]}",
        "[{\"member\":1}]",
    ] {
        for path in [&members, &member] {
            let request = Request::put(path).header("Content-Type", "application/json");
            let answer = server.request(&request.body(body));
            let text = answer.text();
            for word in ["struct", "expected", "Body", "::", "variant"] {
                assert!(!text.contains(word), "{path} {body}: {text}");
            }
            if path == &member || body != "[]" {
                assert_eq!(answer.status, 400, "{path} {body}");
            }
        }
    }
}

#[test]
fn every_response_has_a_unique_request_id() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    let image = format!("/v1/images/{id}");
    let mut seen = std::collections::HashSet::new();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/versions"),
        ("GET", "/v1"),
        ("GET", "/v1/images"),
        ("GET", "/v1/images/detail"),
        ("POST", "/v1/images"),
        ("HEAD", &image),
        ("GET", &image),
        ("PUT", &image),
        ("PATCH", &image),
        ("GET", "/v1/images?limit=x"),
        ("OPTIONS", "/v1"),
        ("BREW", "/v1/x"),
        ("GET", "/healthcheck"),
        ("DELETE", &image),
        ("DELETE", &image),
    ] {
        let answer = server.request(&Request::new(method, path));
        let id = answer.header("x-openstack-request-id").unwrap_or_default();
        let uuid = id.strip_prefix("req-").unwrap_or_default();
        assert!(uuid::Uuid::parse_str(uuid).is_ok(), "{method} {path}: {id}");
        assert!(seen.insert(id.to_owned()), "{id} came twice");
    }
}

/// The request id of the client is kept, on the fast path of HEAD too.
#[test]
fn request_id_of_the_client_is_adopted() {
    let server = Server::shared();
    let image = format!("/v1/images/{}", server.reserve());
    let longest = "x".repeat(64);
    let given = unique("req-from-client");
    for (given, adopted) in [
        (given.as_str(), given.clone()),
        ("9f2c", "req-9f2c".to_owned()),
        (longest.as_str(), format!("req-{longest}")),
    ] {
        for (method, path) in [
            ("HEAD", image.as_str()),
            ("GET", "/v1/images"),
            ("PUT", &image),
            ("GET", UNKNOWN),
            ("GET", "/?<>"),
        ] {
            let request = Request::new(method, path).header("X-Openstack-Request-Id", given);
            let answer = server.request(&request);
            let id = answer.header("x-openstack-request-id");
            assert_eq!(id, Some(adopted.as_str()), "{method} {path}");
        }
    }
    server.expect_log(&format!("request_id={given}"));
    let too_long = "x".repeat(65);
    for (method, path) in [("HEAD", image.as_str()), ("GET", "/v1/images")] {
        let request = Request::new(method, path).header("X-Openstack-Request-Id", &too_long);
        let answer = server.request(&request).expect(431);
        let id = answer.header("x-openstack-request-id").expect("an id");
        assert!(!id.contains('x'), "{id}");
    }
    // An id that would be more than one word in the log is replaced.
    let request = Request::get("/v1/images").header("X-Openstack-Request-Id", "a status=200");
    let answer = server.request(&request).expect(200);
    let id = answer.header("x-openstack-request-id").expect("an id");
    assert!(!id.contains("status"), "{id}");
}

#[test]
fn log_contains_the_request_id() {
    let server = Server::shared();
    let path = format!("/v1/images/{}", unique("look"));
    let answer = server.request(&Request::get(&path)).expect(404);
    let id = answer
        .header("x-openstack-request-id")
        .expect("an id")
        .to_owned();
    crate::support::eventually("the access line", || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains(&id))?.to_owned();
        assert!(line.contains(&path) && line.contains("404"), "{line}");
        Some(())
    });
}

#[test]
fn json_error_is_valid_json() {
    let request = Request::get("/v1/images?name=%22%5C%3C%0A&limit=x");
    let request = request.header("Accept", "application/json");
    let answer = Server::shared().request(&request).expect(400);
    let body: Value = answer.json();
    assert_eq!(body.as_object().expect("an object").len(), 3);
}
