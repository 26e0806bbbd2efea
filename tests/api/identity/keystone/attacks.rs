//! Attacks of one tenant on another. None of them changes anything.

use std::time::{Duration, Instant};

use super::{
    keystone, metric, questions, reserve, setup, shared, status_of_list, token, with_token,
};
use crate::support::http::{Request, Response};
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, id_of, image_of, image_path};

/// An id of no image.
const UNKNOWN: &str = "71c675ab-d94f-49cd-a114-e12490b328d9";

/// An image of alice's, active.
#[track_caller]
fn alices_image(server: &Server, headers: &[(&str, &str)]) -> (String, String) {
    let token = token("alice");
    let request = Request::post("/v1/images").headers(RAW).headers(&[OCTETS]);
    let request = with_token(&token, request.headers(headers)).body("data");
    (id_of(&server.request(&request).expect(201)), token)
}

#[track_caller]
fn asks(server: &Server, token: &str, request: Request) -> Response {
    server.request(&with_token(token, request))
}

/// OSSA-2026-001: who one is, is what the token says and nothing else.
#[test]
fn forged_identity_headers_are_ignored() {
    let (server, bob) = (shared(), keystone().user("bob"));
    let token = token("bob");
    let (victims, _) = alices_image(server, &[]);
    let alice = &keystone().user("alice").project_id;
    let forged = |request: Request| {
        let mut request = request;
        for spelling in ["X-{}", "x_{}", "X-{}"] {
            for (name, value) in [
                ("Roles", "admin"),
                ("Tenant-Id", alice.as_str()),
                ("Project-Id", alice),
                ("User-Id", &keystone().user("alice").id),
                ("Identity-Status", "Confirmed"),
                ("Service-Roles", "admin"),
                ("Is-Admin-Project", "True"),
            ] {
                request = request.header(&spelling.replace("{}", name), value);
            }
        }
        request
    };
    let answer = asks(
        server,
        &token,
        forged(Request::post("/v1/images").headers(RAW)),
    );
    assert_eq!(
        image_of(&answer.expect(201))["owner"],
        bob.project_id.as_str()
    );
    for request in [
        Request::head(&image_path(&victims)),
        Request::get(&image_path(&victims)),
        Request::delete(&image_path(&victims)),
    ] {
        asks(server, &token, forged(request.clone())).expect(404);
        server.request(&forged(request)).expect(401);
    }
    let list = asks(
        server,
        &token,
        forged(Request::get("/v1/images?is_public=None")),
    );
    assert!(!list.text().contains(&victims));
}

/// The responses for a hidden and a missing image differ only in the id.
#[test]
fn hidden_images_look_like_missing_ones() {
    let server = shared();
    let (hidden, _) = alices_image(server, &[]);
    let token = token("bob");
    let about = |id: &str| {
        let (image, members) = (image_path(id), format!("/v1/images/{id}/members"));
        vec![
            Request::head(&image),
            Request::get(&image),
            Request::get(&image).header("Range", "bytes=0-1"),
            Request::get(&image).header("If-None-Match", "*"),
            Request::put(&image).header("x-image-meta-name", "mine"),
            Request::put(&image).headers(&[OCTETS]).body("mine"),
            Request::put(&image).header("x-image-meta-status", "queued"),
            Request::delete(&image),
            Request::get(&members),
            Request::put(&members).body("[]"),
            Request::put(&format!("{members}/t")),
            Request::delete(&format!("{members}/t")),
            Request::get(&format!("/v1/images?marker={id}")),
            Request::get(&format!("/v1/images/detail?marker={id}&is_public=None")),
        ]
    };
    for accept in ["application/json", "text/html", "text/plain"] {
        for (of_hidden, of_unknown) in about(&hidden).into_iter().zip(about(UNKNOWN)) {
            let ask = |request: Request, id: &str| {
                let answer = asks(server, &token, request.header("Accept", accept));
                let body = answer.text().replace(id, "ID");
                let mut headers = answer.head.headers.clone();
                headers.retain(|(name, _)| name != "X-Openstack-Request-Id" && name != "Date");
                (answer.status, headers, body)
            };
            let (hidden, unknown) = (ask(of_hidden.clone(), &hidden), ask(of_unknown, UNKNOWN));
            assert!(matches!(hidden.0, 400 | 404), "{of_hidden:?}");
            assert_eq!(hidden, unknown, "{of_hidden:?}");
        }
    }
}

/// Nor does the time of the answer tell. The medians of requests that take turns on one
/// connection are compared; a difference that could be used stands out in every round, one
/// that the machine makes does not.
#[test]
fn hidden_and_missing_images_take_the_same_time() {
    const ROUNDS: usize = 5;
    const ASKED: usize = 300;
    let server = shared();
    let (hidden, _) = alices_image(server, &[]);
    let token = token("bob");
    for method in ["HEAD", "GET", "DELETE", "PUT"] {
        let mut connection = server.connect();
        let request = |id: &str| with_token(&token, Request::new(method, &image_path(id)));
        let (of_hidden, of_unknown) = (request(&hidden), request(UNKNOWN));
        let mut ask = |request: &Request| {
            let began = Instant::now();
            connection.request(request).expect(404);
            began.elapsed()
        };
        let mut differ = || {
            let (mut hidden, mut unknown) = (Vec::new(), Vec::new());
            for _ in 0..ASKED {
                hidden.push(ask(&of_hidden));
                unknown.push(ask(&of_unknown));
            }
            let (hidden, unknown) = (median(hidden), median(unknown));
            let more = hidden.max(unknown) - hidden.min(unknown);
            (more * 2 > hidden.min(unknown)).then_some((hidden, unknown))
        };
        let rounds: Vec<_> = (0..ROUNDS).map(|_| differ()).collect();
        assert!(rounds.iter().any(Option::is_none), "{method}: {rounds:?}");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// CVE-2012-4573: nothing of an image goes that may not be deleted.
#[test]
fn images_of_others_cannot_be_deleted() {
    for delayed in [false, true] {
        let server = setup(keystone(), &keystone().auth_url)
            .option("delayed_delete", delayed)
            .start();
        let bob = token("bob");
        for (headers, status) in [(&[][..], 404), (&[("x-image-meta-protected", "True")], 404)] {
            let (id, alice) = alices_image(&server, headers);
            asks(&server, &bob, Request::delete(&image_path(&id))).expect(status);
            let unprotect = Request::put(&image_path(&id));
            let unprotect = unprotect.header("x-image-meta-protected", "False");
            asks(&server, &bob, unprotect).expect(404);
            assert!(server.has_stored(&id));
            let data = asks(&server, &alice, Request::get(&image_path(&id)));
            assert_eq!(data.expect(200).body, b"data");
        }
    }
}

/// CVE-2015-5251 and its kin: what a request may not say of an image.
#[test]
fn fields_of_other_tenants_are_refused() {
    let server = shared();
    let (id, alice) = alices_image(server, &[]);
    let before = asks(server, &alice, Request::head(&image_path(&id))).expect(200);
    let bobs = &keystone().user("bob").project_id;
    for (name, value, status) in [
        ("status", "queued", 403),
        ("status", "killed", 403),
        ("size", "1", 403),
        ("checksum", "d41d8cd98f00b204e9800998ecf8427e", 403),
        ("id", UNKNOWN, 403),
        ("owner", bobs, 200),
        ("deleted", "True", 200),
        ("deleted_at", "2001-01-01T00:00:00", 200),
        ("created_at", "2001-01-01T00:00:00", 200),
        ("updated_at", "2001-01-01T00:00:00", 200),
    ] {
        let change = Request::put(&image_path(&id));
        let change = change.header(&format!("x-image-meta-{name}"), value);
        asks(server, &alice, change).expect(status);
        let after = asks(server, &alice, Request::head(&image_path(&id))).expect(200);
        let steady = |name: &&str| before.header(name) == after.header(name);
        for name in [
            "x-image-meta-status",
            "x-image-meta-size",
            "x-image-meta-checksum",
            "x-image-meta-owner",
            "x-image-meta-deleted",
            "x-image-meta-created_at",
            "etag",
        ] {
            assert!(steady(&name), "{name}");
        }
    }
    let given = Request::put(&image_path(&id)).header("x-image-meta-owner", bobs);
    asks(server, &token("admin"), given).expect(200);
    asks(server, &alice, Request::head(&image_path(&id))).expect(404);
    asks(server, &token("bob"), Request::head(&image_path(&id))).expect(200);
}

/// An id that is taken says so, and no more.
#[test]
fn conflict_of_an_id_reveals_nothing_else() {
    let server = shared();
    let (id, _) = alices_image(server, &[("x-image-meta-name", "CANARY")]);
    let copy = Request::post("/v1/images")
        .headers(RAW)
        .header("x-image-meta-id", &id);
    let answer = asks(server, &token("bob"), copy).expect(409);
    assert!(!answer.text().contains("CANARY"));
}

/// Anybody can make up tokens: they neither fill the memory nor push out those that are
/// sound, and each is asked about once.
#[test]
fn forged_tokens_do_not_slow_other_callers() {
    let server = setup(keystone(), &keystone().auth_url)
        .option_in("keystone_authtoken", "token_cache_size", 50)
        .start();
    let alice = token("alice");
    let id = id_of(&reserve(&server, &alice));
    let asked = questions(&server);
    for number in 0..200 {
        assert_eq!(status_of_list(&server, &format!("made-up-{number}")), 401);
    }
    assert_eq!(questions(&server) - asked, 200.0);
    let head = Request::head(&image_path(&id));
    asks(&server, &alice, head).expect(200);
    assert_eq!(questions(&server) - asked, 200.0, "alice is still known");
    let refused = "glance_token_checks_total{result=\"refused\"}";
    assert_eq!(metric(&server, refused), 200.0);
}
