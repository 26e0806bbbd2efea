//! Identity headers of a trusted proxy: the peers that may send them, and their meaning.

use super::cast::Caller;
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, id_of, image_of, image_path};

fn setup() -> Setup {
    Setup::new().option_in("paste_deploy", "flavor", "trusted-auth")
}

fn confirmed(request: Request) -> Request {
    request.header("X-Identity-Status", "Confirmed")
}

#[track_caller]
fn create(server: &Server, headers: &[(&str, &str)]) -> Response {
    let request = confirmed(Request::post("/v1/images")).headers(RAW);
    server.request(&request.headers(headers))
}

/// Every request that asks for an image or a list.
fn asks(id: &str) -> Vec<Request> {
    let (image, members) = (image_path(id), format!("/v1/images/{id}/members"));
    vec![
        Request::get("/v1/images"),
        Request::get("/images"),
        Request::get("/v1/images/detail"),
        Request::post("/v1/images").headers(RAW),
        Request::post("/v1/images")
            .headers(&[OCTETS])
            .headers(RAW)
            .body("data"),
        Request::head(&image),
        Request::get(&image),
        Request::put(&image),
        Request::put(&image).headers(&[OCTETS]).body("data"),
        Request::delete(&image),
        Request::get(&members),
        Request::put(&members).body("[]"),
        Request::put(&format!("{members}/t")),
        Request::delete(&format!("{members}/t")),
        Request::get("/v1/shared-images/t"),
        Request::get("/v1/nowhere"),
        Request::post("/v1/images/detail"),
    ]
}

#[test]
fn requests_without_identity_headers_are_401() {
    let server = setup().start();
    let id = id_of(
        &create(
            &server,
            &[("x-image-meta-is_public", "True"), ("X-Roles", "admin")],
        )
        .expect(201),
    );
    for request in asks(&id) {
        let answer = server.request(&request).expect(401);
        assert!(answer.header("x-openstack-request-id").is_some());
        let unconfirmed = request.clone().header("X-Identity-Status", "Invalid");
        let unconfirmed = unconfirmed.header("X-Roles", "admin");
        server
            .request(&unconfirmed.header("X-Tenant-Id", "t"))
            .expect(401);
    }
    for (path, status) in [
        ("/", 300),
        ("/versions", 200),
        ("/healthcheck", 200),
        ("/v1", 302),
    ] {
        server.request(&Request::get(path)).expect(status);
    }
    server
        .request(&Request::new("OPTIONS", "/v1/images"))
        .expect(200);
    server
        .request(&confirmed(Request::head(&image_path(&id))))
        .expect(200);
}

#[test]
fn identity_headers_of_untrusted_peers_are_ignored() {
    let server = setup()
        .option("trusted_proxies", "192.0.2.1")
        .option("allow_anonymous_access", true)
        .start();
    for request in asks("71c675ab-d94f-49cd-a114-e12490b328d9") {
        let plain = server.request(&request);
        let signed = server.request(&Caller::Admin.sign(request));
        assert_eq!(plain.status, signed.status);
        assert_eq!(plain.body, signed.body);
    }
    let list = Request::get("/v1/images?is_public=None");
    server.request(&Caller::Admin.sign(list)).expect(200);
}

#[test]
fn ambiguous_identity_headers_are_refused() {
    let server = setup().start();
    for odd in [
        ("X-Roles", "admin"),
        ("X_Roles", "admin"),
        ("x_tenant_id", "victim"),
        ("X-Tenant_Id", "victim"),
        ("x_identity_status", "Confirmed"),
        ("X-Identity-Status", "Confirmed"),
        ("X-User-Id", "other"),
        ("X-Project-Id", "other"),
    ] {
        for request in [Request::get("/v1/images"), Request::post("/v1/images")] {
            let request = Caller::Member.sign(request).header(odd.0, odd.1);
            server.request(&request).expect(400);
        }
    }
    let both = Caller::Member.sign(Request::get("/v1/images"));
    server
        .request(&both.header("X-Project-Id", "member"))
        .expect(200);
}

#[test]
fn images_belong_to_the_tenant() {
    let server = setup().start();
    for (headers, owner) in [
        (&[("X-Tenant-Id", "t"), ("X-User-Id", "u")][..], "t"),
        (&[("X-Project-Id", "t")], "t"),
        (
            &[("X-Tenant-Id", "t"), ("x-image-meta-owner", "other")],
            "t",
        ),
        (
            &[
                ("X-Tenant-Id", "t"),
                ("X-Roles", "ADMIN"),
                ("x-image-meta-owner", "other"),
            ],
            "other",
        ),
    ] {
        let image = image_of(&create(&server, headers).expect(201));
        assert_eq!(image["owner"], owner, "{headers:?}");
    }
    let nobodys = image_of(&create(&server, &[("X-User-Id", "u")]).expect(201));
    assert!(nobodys["owner"].is_null());
}

#[test]
fn images_belong_to_the_user_if_configured() {
    let server = setup().option("owner_is_tenant", false).start();
    let alice = [("X-User-Id", "alice"), ("X-Tenant-Id", "t")];
    let answer = create(&server, &alice).expect(201);
    assert_eq!(image_of(&answer)["owner"], "alice");
    let head = confirmed(Request::head(&image_path(&id_of(&answer))));
    server.request(&head.clone().headers(&alice)).expect(200);
    let adam = [("X-User-Id", "adam"), ("X-Tenant-Id", "t")];
    server.request(&head.headers(&adam)).expect(404);
}

#[test]
fn admin_role_is_configurable() {
    let server = setup().option("admin_role", "Boss").start();
    let sees_all = |role: &str| {
        let list = confirmed(Request::get("/v1/images?is_public=None"));
        let list = server.request(&list.header("X-Roles", role)).expect(200);
        !list.json()["images"].as_array().unwrap().is_empty()
    };
    create(&server, &[("X-Tenant-Id", "t")]).expect(201);
    assert!(sees_all("member, boss"));
    assert!(!sees_all("admin"));
}

#[test]
fn identity_can_change_per_request() {
    let server = setup().start();
    let id = id_of(&create(&server, &[("X-Tenant-Id", "owner")]).expect(201));
    let mut connection = server.connect();
    for _ in 0..3 {
        for (caller, status) in [
            (Caller::Owner, 200),
            (Caller::Stranger, 404),
            (Caller::Anonymous, 401),
            (Caller::Admin, 200),
        ] {
            let head = caller.sign(Request::head(&image_path(&id)));
            assert_eq!(connection.request(&head).status, status, "{caller:?}");
        }
    }
}
