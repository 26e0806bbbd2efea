//! Tokens: validation, caching, expiry and revocation.

use std::time::{Duration, Instant};

use super::{
    keystone, questions, reserve, setup, shared, status_of_list, token, unscoped_token, with_token,
};
use crate::support::backends::keystone::{Keystone, Options};
use crate::support::http::Request;
use crate::support::v1::{OCTETS, RAW, id_of, ids_of, image_of, image_path};

#[test]
fn requests_without_a_valid_token_are_401() {
    let (server, url) = (shared(), &keystone().auth_url);
    for token in [None, Some(""), Some("garbage"), Some("a b"), Some("gAAAAA")] {
        let mut list = Request::get("/v1/images");
        if let Some(token) = token {
            list = with_token(token, list);
        }
        let answer = server.request(&list).expect(401);
        let challenge = format!("Keystone uri=\"{url}\"");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(challenge.as_str()),
            "{token:?}"
        );
    }
    let twice = Request::get("/v1/images").header("X-Auth-Token", token("alice"));
    let twice = twice.header("X-Auth-Token", token("admin"));
    server.request(&twice).expect(400);
}

#[test]
fn token_is_validated_before_the_body_is_read() {
    let server = shared();
    for request in [Request::post("/v1/images"), Request::put(&image_path("x"))] {
        let mut connection = server.connect();
        let request = with_token("garbage", request.headers(RAW).headers(&[OCTETS]));
        let request = request
            .header("Expect", "100-continue")
            .header("Content-Length", "1000000000");
        connection.send_head(&request).unwrap();
        let head = connection.read_head().unwrap();
        assert_eq!(head.status, 401, "{head:?}");
    }
}

#[test]
fn token_identifies_the_caller() {
    let (server, keystone) = (shared(), keystone());
    let alice = token("alice");
    let image = reserve(server, &alice);
    let (id, tenant) = (id_of(&image), &keystone.user("alice").project_id);
    assert_eq!(image_of(&image)["owner"], tenant.as_str());
    for (user, status) in [("adam", 200), ("rita", 200), ("bob", 404), ("admin", 200)] {
        let token = token(user);
        let head = with_token(&token, Request::head(&image_path(&id)));
        assert_eq!(server.request(&head).status, status, "{user}");
        let list = with_token(&token, Request::get("/v1/images?is_public=None&limit=1000"));
        let response = server.request(&list).expect(200);
        let vary = response.header("vary").expect("Vary");
        assert!(
            vary.split(", ").any(|name| name == "X-Auth-Token"),
            "{vary}"
        );
        let listed = ids_of(&response).contains(&id);
        assert_eq!(listed, status == 200, "{user}");
    }
    let old = Request::head(&image_path(&id)).header("X-Storage-Token", &alice);
    server.request(&old).expect(200);
}

#[test]
fn unscoped_token_has_no_tenant() {
    let server = shared();
    let id = id_of(&reserve(server, &token("alice")));
    let token = unscoped_token(keystone(), "alice");
    let head = with_token(&token, Request::head(&image_path(&id)));
    server.request(&head).expect(404);
    let share = Request::put(&format!("/v1/images/{id}/members/t"));
    server.request(&with_token(&token, share)).expect(401);
}

#[test]
fn concurrent_requests_validate_a_token_once() {
    let server = setup(keystone(), &keystone().auth_url).start();
    let token = token("alice");
    std::thread::scope(|scope| {
        let ask = || assert_eq!(status_of_list(&server, &token), 200);
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    for _ in 0..50 {
        let head = Request::head(&image_path("71c675ab-d94f-49cd-a114-e12490b328d9"));
        server.request(&with_token(&token, head)).expect(404);
        assert_eq!(status_of_list(&server, "garbage"), 401);
    }
    assert_eq!(questions(&server), 2.0, "one about each token");
}

#[test]
fn revoked_token_ends_within_the_cache_time() {
    const STATED: Duration = Duration::from_secs(2);
    let server = setup(keystone(), &keystone().auth_url)
        .option_in("keystone_authtoken", "token_cache_time", STATED.as_secs())
        .start();
    let token = keystone().token("alice");
    let id = id_of(&reserve(&server, &token));
    keystone().revoke(&token);
    let revoked_at = Instant::now();
    let mut last_good = revoked_at;
    // By HEAD, which has a short road of its own.
    while revoked_at.elapsed() < STATED + Duration::from_secs(1) {
        let head = with_token(&token, Request::head(&image_path(&id)));
        let asked_at = Instant::now();
        match server.request(&head).status {
            200 => last_good = asked_at,
            401 => {}
            other => panic!("{other}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        last_good - revoked_at < STATED,
        "{:?}",
        last_good - revoked_at
    );
    assert_eq!(status_of_list(&server, &token), 401);
}

#[test]
fn revoked_token_ends_at_once_without_a_cache() {
    let server = setup(keystone(), &keystone().auth_url)
        .option_in("keystone_authtoken", "token_cache_time", -1)
        .start();
    let token = keystone().token("alice");
    assert_eq!(status_of_list(&server, &token), 200);
    keystone().revoke(&token);
    assert_eq!(status_of_list(&server, &token), 401);
}

/// Tokens of 4 s: the user's, which is kept no longer than it lives, and the node's own,
/// which it renews.
#[test]
fn tokens_expire_and_the_service_token_is_renewed() {
    const LIFE: Duration = Duration::from_secs(4);
    let keystone = Keystone::start(&Options { token_s: 4 });
    let server = setup(&keystone, &keystone.auth_url).start();
    let issued_at = Instant::now();
    let token = keystone.token("alice");
    assert_eq!(status_of_list(&server, &token), 200);
    let began = Instant::now();
    while began.elapsed() < 3 * LIFE {
        let asked_at = Instant::now();
        let fresh = keystone.token("bob");
        assert_eq!(status_of_list(&server, &fresh), 200);
        let status = status_of_list(&server, &token);
        let age = asked_at - issued_at;
        // Keystone's times and its Date have whole seconds.
        if age > LIFE + Duration::from_secs(1) {
            assert_eq!(status, 401, "{age:?}");
        } else if age + Duration::from_millis(1500) < LIFE {
            assert_eq!(status, 200, "{age:?}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    // A service may still carry it to its end.
    let list = with_token(&token, Request::get("/v1/images"));
    let by_service = list
        .clone()
        .header("X-Service-Token", keystone.token("glance"));
    server.request(&by_service).expect(200);
    let by_user = list
        .clone()
        .header("X-Service-Token", keystone.token("bob"));
    server.request(&by_user).expect(401);
    server
        .request(&list.header("X-Service-Token", "garbage"))
        .expect(401);
}

/// A token is looked at when a request begins, and not again (CVE-2015-5286).
#[test]
fn upload_outlives_its_token() {
    let keystone = Keystone::start(&Options { token_s: 3 });
    let server = setup(&keystone, &keystone.auth_url).start();
    let mut token = keystone.token("alice");
    for is_deleted in [false, true] {
        let id = id_of(&reserve(&server, &token));
        let upload = Request::put(&image_path(&id)).headers(&[OCTETS]);
        let upload = with_token(&token, upload).header("Content-Length", "8");
        let mut connection = server.connect();
        connection.send_head(&upload).unwrap();
        connection.send_bytes(b"half").unwrap();
        std::thread::sleep(Duration::from_millis(4500));
        assert_eq!(status_of_list(&server, &token), 401);
        token = keystone.token("alice");
        let delete = with_token(&token, Request::delete(&image_path(&id)));
        if is_deleted {
            server.request(&delete).expect(200);
        }
        // What was deleted takes no more.
        let _ = connection.send_bytes(b"more");
        let answer = connection.read_response("PUT").unwrap();
        assert_eq!(answer.status, if is_deleted { 412 } else { 200 });
        if !is_deleted {
            assert!(server.has_stored(&id));
            server.request(&delete).expect(200);
        }
        server.await_nothing_stored(&id);
    }
}

#[test]
fn anonymous_access_is_read_only() {
    let server = setup(keystone(), &keystone().auth_url)
        .option("allow_anonymous_access", true)
        .start();
    let list = Request::get("/v1/images");
    server.request(&list).expect(200);
    server.request(&with_token("garbage", list)).expect(401);
    server
        .request(&Request::post("/v1/images").headers(RAW))
        .expect(403);
    let id = id_of(&reserve(&server, &token("alice")));
    server.request(&Request::head(&image_path(&id))).expect(404);
    server
        .request(&Request::delete(&image_path(&id)))
        .expect(403);
}
