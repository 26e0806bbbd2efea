//! Sends one script of requests with every registry and compares the responses.

use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, image_path, post, post_data, put, put_data};

const IDS: [&str; 4] = [
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
    "00000000-0000-4000-8000-000000000003",
    "00000000-0000-4000-8000-000000000004",
];

/// The requests that involve the registry.
fn script() -> Vec<Request> {
    let [a, b, c, d] = IDS;
    let id = |id| ("x-image-meta-id", id);
    let name = |name| ("x-image-meta-name", name);
    let public = ("x-image-meta-is_public", "True");
    let keep = ("x-glance-registry-purge-props", "false");
    let get = Request::get;
    let member = |member: &str| format!("{}/members/{member}", image_path(b));
    vec![
        post_data(&[id(a), name("one"), public], b"first"),
        post(&[id(a)]),
        post(&[
            id(b),
            name("two"),
            ("x-image-meta-property-os", "linux"),
            public,
        ]),
        post(&[id(c), name("three"), ("x-image-meta-size", "7")]),
        Request::head(&image_path(a)),
        Request::head(&image_path(b)),
        get(&image_path(a)),
        get(&image_path(b)),
        Request::head(&image_path(d)),
        put(b, RAW),
        put_data(b, &[keep], b"second"),
        put_data(b, &[], b"again"),
        get(&image_path(b)),
        put(b, &[keep, ("x-image-meta-property-arch", "x")]),
        put(b, &[("x-image-meta-property-only", "y")]),
        put_data(c, RAW, b"not seven"),
        Request::head(&image_path(c)),
        post_data(&[id(d), ("x-image-meta-checksum", "0"), OCTETS], b"other"),
        get("/v1/images?sort_key=name&sort_dir=asc"),
        get("/v1/images/detail?is_public=None&sort_key=id"),
        get("/v1/images?limit=1&sort_key=name"),
        get(&format!("/v1/images?sort_key=name&limit=5&marker={b}")),
        get(&format!("/v1/images?marker={c}")),
        get("/v1/images?marker=00000000-0000-4000-8000-00000000000f"),
        get("/v1/images?property-only=y"),
        get("/v1/images?size_min=6&name=in:one,two"),
        get("/v1/images/detail?changes-since=2000-01-01&sort_key=id&is_public=None"),
        Request::put(&member("t")).body(b"{\"member\":{\"can_share\":true}}"),
        Request::put(&member("u")).body(b""),
        get(&format!("{}/members", image_path(b))),
        get("/v1/shared-images/t"),
        Request::delete(&member("t")),
        Request::delete(&member("t")),
        put(a, &[("x-image-meta-protected", "True")]),
        Request::delete(&image_path(a)),
        put(a, &[("x-image-meta-protected", "False")]),
        Request::delete(&image_path(a)),
        Request::delete(&image_path(a)),
        get(&image_path(a)),
        Request::head(&image_path(a)),
        post(&[id(a)]),
        get("/v1/images/detail?is_public=None&sort_key=id"),
        get("/healthcheck"),
    ]
}

/// Returns the part of a response that does not depend on the time and the server.
fn essence(response: &Response) -> String {
    let mut headers: Vec<String> = response
        .headers
        .iter()
        .filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            let times = [
                "date",
                "last-modified",
                "x-openstack-request-id",
                "location",
            ];
            !times.contains(&name.as_str()) && !name.ends_with("_at")
        })
        .map(|(name, value)| {
            format!(
                "{}: {}",
                name.to_ascii_lowercase(),
                String::from_utf8_lossy(value)
            )
        })
        .collect();
    headers.sort();
    let body = String::from_utf8_lossy(&response.body);
    let body = match serde_json::from_str::<serde_json::Value>(&body) {
        Ok(mut json) => {
            forget_times(&mut json);
            json.to_string()
        }
        Err(_) => body.into_owned(),
    };
    // Bodies with times may differ in length, because a zero fraction is omitted.
    headers.retain(|line| !line.starts_with("content-length"));
    format!("{} {headers:?} {body}", response.status)
}

fn forget_times(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Object(fields) => {
            fields.retain(|name, _| !name.ends_with("_at"));
            fields.values_mut().for_each(forget_times);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(forget_times),
        _ => {}
    }
}

fn answers(node: &Server) -> Vec<String> {
    let mut connection = node.connect();
    let answer = |request: &Request| essence(&connection.request(request));
    script().iter().map(answer).collect()
}

pub fn assert_alike(node: &Server) {
    let embedded = Setup::new().start();
    let expected = answers(&embedded);
    for ((request, expected), got) in script().iter().zip(expected).zip(answers(node)) {
        assert_eq!(got, expected, "{request:?}");
    }
}

#[test]
fn registry_server_behaves_as_an_embedded_registry() {
    let registry = Setup::registry().start();
    assert_alike(&Setup::new().registry_at(registry.address()).start());
}

#[cfg(feature = "etcd")]
#[test]
fn etcd_behaves_as_an_embedded_registry() {
    let etcd = crate::support::etcd::Etcd::start(1);
    assert_alike(&Setup::new().etcd(&etcd).start());
}

#[cfg(feature = "etcd")]
#[test]
fn registry_server_on_etcd_behaves_as_an_embedded_registry() {
    let etcd = crate::support::etcd::Etcd::start(1);
    let registry = Setup::registry().etcd(&etcd).start();
    assert_alike(&Setup::new().registry_at(registry.address()).start());
}

#[cfg(not(feature = "etcd"))]
#[test]
fn program_without_etcd_names_the_feature() {
    let mut node = Setup::new().option("registry_backend", "etcd").prepare();
    node.spawn();
    let status = node.wait(crate::support::PATIENCE);
    assert!(!status.success());
    assert!(node.log().contains("--features etcd"), "{}", node.log());
}
