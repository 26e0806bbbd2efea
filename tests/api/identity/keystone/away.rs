//! Keystone is unreachable: cached tokens work until they expire, every other request is 503, and
//! the server recovers by itself.

use std::time::{Duration, Instant};

use super::{keystone, reserve, setup, status_of_list, token, with_token};
use crate::support::backends::address_of;
use crate::support::eventually;
use crate::support::gate::{Gate, Mode};
use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{id_of, image_path};

/// Timeout of requests to Keystone: longer than Keystone takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

fn start(patience: Duration) -> (Gate, Server) {
    let gate = Gate::before(address_of(&keystone().auth_url));
    let server = setup(keystone(), &gate.url(&keystone().auth_url))
        .option_in(
            "keystone_authtoken",
            "token_validation_timeout",
            patience.as_secs(),
        )
        .option_in(
            "keystone_authtoken",
            "http_connect_timeout",
            patience.as_secs(),
        )
        .option_in("keystone_authtoken", "token_cache_time", 3)
        .start();
    (gate, server)
}

#[test]
fn cached_tokens_work_while_keystone_is_down() {
    for mode in [Mode::Closed, Mode::Silent] {
        let (gate, server) = start(PATIENCE);
        let (known, new) = (token("alice"), token("bob"));
        let id = id_of(&reserve(&server, &known));
        let known_at = Instant::now();
        gate.set(mode);
        let head = with_token(&known, Request::head(&image_path(&id)));
        server.request(&head).expect(200);
        assert_eq!(status_of_list(&server, &known), 200);
        assert_is_unavailable(&server, &new);
        assert_is_unavailable(&server, "garbage");
        while known_at.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_is_unavailable(&server, &known);
        gate.set(Mode::Open);
        crate::support::eventually("Keystone is asked again", || {
            (status_of_list(&server, &new) == 200).then_some(())
        });
        server.request(&head).expect(200);
        assert_eq!(status_of_list(&server, "garbage"), 401);
    }
}

#[track_caller]
fn assert_is_unavailable(server: &Server, token: &str) {
    let began = Instant::now();
    let list = Request::get("/v1/images");
    let answer = server.request(&with_token(token, list)).expect(503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    // The limit holds for the login, the question and every retry together.
    let most = PATIENCE + Duration::from_secs(2);
    assert!(began.elapsed() < most, "{:?}", began.elapsed());
}

#[test]
fn server_starts_before_keystone() {
    let gate = Gate::before(address_of(&keystone().auth_url));
    gate.set(Mode::Closed);
    let server = setup(keystone(), &gate.url(&keystone().auth_url)).start();
    let token = token("alice");
    assert_eq!(status_of_list(&server, &token), 503);
    assert_eq!(server.request(&Request::get("/healthcheck")).status, 200);
    gate.set(Mode::Open);
    assert_eq!(status_of_list(&server, &token), 200);
}

#[test]
fn broken_connection_to_keystone_is_replaced() {
    let (gate, server) = start(crate::support::PATIENCE);
    assert_eq!(status_of_list(&server, &token("alice")), 200);
    for user in ["bob", "adam", "rita"] {
        // Ends the connections that are kept, and takes new ones.
        gate.set(Mode::Closed);
        gate.set(Mode::Open);
        assert_eq!(status_of_list(&server, &token(user)), 200, "{user}");
    }
}

#[test]
fn wrong_service_password_is_503() {
    let server = setup(keystone(), &keystone().auth_url)
        .option_in("keystone_authtoken", "password", "CANARY-PASSWORD")
        .option("debug", true)
        .start();
    let token = token("alice");
    assert_eq!(status_of_list(&server, &token), 503);
    let log = eventually("the log says why", || {
        Some(server.log()).filter(|log| log.contains("refuses the user"))
    });
    assert!(
        !log.contains("CANARY-PASSWORD") && !log.contains(&token),
        "{log}"
    );
}
