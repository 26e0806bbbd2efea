//! Paths and the methods that each allows.

use crate::support::http::Request;
use crate::support::server::Server;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "BREW"];

#[test]
fn method_not_allowed_lists_the_allowed_methods() {
    let server = Server::shared();
    let id = server.reserve();
    let image = format!("/v1/images/{id}");
    let members = format!("{image}/members");
    let member = format!("{members}/t");
    for (path, allowed) in [
        ("/v1/images", "GET, POST"),
        ("/v1/images/detail", "GET"),
        (&image, "GET, HEAD, PUT, DELETE"),
        (&members, "GET, PUT"),
        (&member, "PUT, DELETE"),
        ("/v1/shared-images/t", "GET"),
    ] {
        let is_allowed = |method: &&str| allowed.split(", ").any(|own| own == *method);
        for method in METHODS.iter().filter(|method| !is_allowed(method)) {
            let answer = server.request(&Request::new(method, path)).expect(405);
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    assert_eq!(server.status_of(&id), "queued", "nothing was done to it");
}

#[test]
fn unknown_paths_are_not_found() {
    let server = Server::shared();
    let id = server.reserve();
    let below = format!("/v1/images/{id}/x");
    let slash = format!("/v1/images/{id}/");
    for path in [
        "/v1/foo",
        "/v1//images",
        "/v1/images/detail/",
        "/v1/shared-images",
        "/v1/shared-images/",
        "/v1/cached_images",
        "/v1/queued_images/7",
        &below,
        &slash,
    ] {
        for method in METHODS {
            let answer = server.request(&Request::new(method, path));
            let wanted = if method == "BREW" { 501 } else { 404 };
            assert_eq!(answer.status, wanted, "{method} {path}");
        }
    }
}

/// Tempest deletes an image with an empty identifier and expects 404.
#[test]
fn empty_identifier_is_not_found() {
    let server = Server::shared();
    for (method, path, status) in [
        ("DELETE", "/v1/images/", 404),
        ("HEAD", "/v1/images/", 404),
        ("PUT", "/v1/images/", 404),
        ("PATCH", "/v1/images/", 404),
        ("BREW", "/v1/images/", 501),
        ("DELETE", "/images/", 404),
        ("GET", "/v1/images//members", 404),
        ("POST", "/v1/images//members", 404),
        ("DELETE", "/v1/images//members/t", 404),
        ("POST", "/v1/images//members/t", 404),
    ] {
        let answer = server.request(&Request::new(method, path));
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

#[test]
fn options_of_any_path_is_an_empty_200() {
    let server = Server::shared();
    for path in ["/", "/v1/images", "/v1/foo", "/images/7", "*"] {
        let answer = server.request(&Request::new("OPTIONS", path)).expect(200);
        assert!(answer.body.is_empty(), "{path}");
    }
}

#[test]
fn path_is_split_before_it_is_decoded() {
    let server = Server::shared();
    let id = server.reserve();
    let escaped = id.replace('-', "%2D");
    let head = Request::head(&format!("/v1/images/{escaped}"));
    server.request(&head).expect(200);
    server.request(&Request::get("/v1%2Fimages")).expect(300);
    server
        .request(&Request::get("/v1/images%2Fdetail"))
        .expect(404);
    let climb = format!("/v1/images/..%2f..%2fimages%2f{id}");
    server.request(&Request::get(&climb)).expect(404);
}

#[test]
fn malformed_identifiers_are_not_found() {
    let server = Server::shared();
    let long = "a".repeat(5000);
    for id in ["7", "x", "..", "%2e%2e", "%00", "%ff", &long] {
        let path = format!("/v1/images/{id}");
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let answer = server.request(&Request::new(method, &path));
            assert_eq!(answer.status, 404, "{method} {path}");
        }
    }
}

#[test]
fn query_of_other_verbs_is_ignored() {
    let server = Server::shared();
    let created = Request::post("/v1/images?limit=x&is_public=7");
    let id = crate::support::v1::id_of(&server.request(&created).expect(201));
    for method in ["HEAD", "PUT", "DELETE"] {
        let path = format!("/v1/images/{id}?limit=x&sort_key=7&%ff");
        server.request(&Request::new(method, &path)).expect(200);
    }
}
