//! `/`, `/versions`, and the choice of the version by path and Accept header.

use serde_json::json;

use crate::support::http::Request;
use crate::support::server::{Server, Setup};

fn document(base: &str) -> serde_json::Value {
    let entry = |id: &str| {
        let link = json!({"rel": "self", "href": format!("{base}/v1/")});
        json!({"id": id, "status": "DEPRECATED", "links": [link]})
    };
    json!({"versions": [entry("v1.1"), entry("v1.0")]})
}

#[test]
fn root_is_300_for_every_method() {
    let server = Server::shared();
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let answer = server.request(&Request::new(method, "/")).expect(300);
        assert_eq!(answer.json(), document("http://127.0.0.1"), "{method}");
    }
    let head = server.request(&Request::head("/")).expect(300);
    assert!(head.body.is_empty());
}

#[test]
fn versions_is_the_same_document_as_200() {
    let server = Server::shared();
    for path in ["/versions", "/versions/", "/versions/v1"] {
        assert_eq!(server.json(path), document("http://127.0.0.1"), "{path}");
    }
}

#[test]
fn unknown_first_segment_is_300() {
    let server = Server::shared();
    for path in [
        "/foo",
        "/v9/images",
        "/v2/images",
        "/v1.2/images",
        "/V1/images",
        "//v1/images",
        "/shared-images/t",
        "/metrics",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = server.request(&Request::new(method, path)).expect(300);
            assert_eq!(answer.json(), document("http://127.0.0.1"), "{path}");
        }
    }
}

#[test]
fn links_name_the_requested_host() {
    let server = Server::shared();
    let ask = |host: &str| {
        Request::get("/versions")
            .without_host()
            .header("Host", host)
    };
    let answer = server.request(&ask("images.example.org:9292")).expect(200);
    assert_eq!(answer.json(), document("http://images.example.org:9292"));
}

#[test]
fn links_name_the_public_endpoint_if_configured() {
    let endpoint = "https://images.example.org/glance";
    let server = Setup::new().option("public_endpoint", endpoint).start();
    assert_eq!(server.json("/versions"), document(endpoint));
    let created = server.request(&Request::post("/v1/images")).expect(201);
    let location = created.header("location").expect("a Location");
    assert!(location.starts_with("https://images.example.org/glance/v1/images/"));
}

#[test]
fn v1_redirects_to_its_images() {
    let server = Server::shared();
    let answer = server.request(&Request::get("/v1")).expect(302);
    assert_eq!(answer.header("location"), Some("http://127.0.0.1/v1/"));
    assert!(server.json("/v1/")["images"].is_array());
    server.request(&Request::post("/v1/")).expect(201);
}

#[test]
fn minor_versions_are_v1() {
    let server = Server::shared();
    let id = server.reserve();
    for version in ["v1", "v1.0", "v1.1"] {
        assert!(server.json(&format!("/{version}/images"))["images"].is_array());
        let path = format!("/{version}/images/{id}");
        server.request(&Request::head(&path)).expect(200);
    }
}

#[test]
fn accept_header_names_the_version() {
    let server = Server::shared();
    let id = server.reserve();
    for version in ["v1", "v1.0", "v1.1"] {
        let accept = format!("application/vnd.openstack.images-{version}");
        let ask = |path: &str| server.request(&Request::get(path).header("Accept", &accept));
        assert!(ask("/images").expect(200).json()["images"].is_array());
        // With the version in Accept, the path has none.
        ask("/v1/images").expect(404);
        let head = Request::head(&format!("/images/{id}")).header("Accept", &accept);
        let head = server.request(&head).expect(200);
        assert_eq!(head.header("x-image-meta-uri"), None, "this is /v1");
    }
    for version in ["v2", "v1.2", "v7"] {
        let accept = format!("application/vnd.openstack.images-{version}");
        for path in ["/images", "/v1/images"] {
            let ask = Request::get(path).header("Accept", &accept);
            server.request(&ask).expect(300);
        }
    }
}

#[test]
fn healthcheck_needs_no_version() {
    let answer = Server::shared()
        .request(&Request::get("/healthcheck"))
        .expect(200);
    assert_eq!(answer.text(), "OK");
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
}
