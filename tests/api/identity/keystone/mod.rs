//! Tokens, against a real Keystone.
//!
//! * `tokens`: validation, caching, expiry and revocation.
//! * `away`: Keystone is unreachable.
//! * `attacks`: attacks of one tenant on another.
//! * `clients`: released clients, which find the server by the catalogue.

mod attacks;
mod away;
mod clients;
mod tokens;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use crate::support::backends::keystone::{Keystone, Options};
use crate::support::http::{Connection, Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::v1::RAW;

/// One Keystone for all tests of this folder that do not change it.
fn keystone() -> &'static Keystone {
    static SHARED: OnceLock<Keystone> = OnceLock::new();
    SHARED.get_or_init(|| Keystone::start(&Options::default()))
}

/// A token of a user of that Keystone, which no test revokes. Logins are its most expensive
/// requests, and its SQLite database allows few at a time.
#[track_caller]
fn token(user: &'static str) -> String {
    static TOKENS: OnceLock<Mutex<HashMap<&str, String>>> = OnceLock::new();
    let mut tokens = TOKENS.get_or_init(Mutex::default).lock().unwrap();
    let token = tokens.entry(user).or_insert_with(|| keystone().token(user));
    token.clone()
}

/// A server that uses this Keystone at this address.
fn setup(keystone: &Keystone, auth_url: &str) -> Setup {
    let glance = keystone.user("glance");
    let option = |setup: Setup, key, value: &str| setup.option_in("keystone_authtoken", key, value);
    let setup = Setup::new().option_in("paste_deploy", "flavor", "keystone");
    let setup = option(setup, "auth_url", auth_url);
    let setup = option(setup, "username", &glance.name);
    let setup = option(setup, "password", &glance.password);
    let setup = option(setup, "project_name", &glance.project);
    option(setup, "user_domain_name", "Default")
}

/// A server for tests that read only images they created.
fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| setup(keystone(), &keystone().auth_url).start())
}

/// A request with a token.
fn with_token(token: &str, request: Request) -> Request {
    request.header("X-Auth-Token", token)
}

/// Returns true if a token is accepted for the list of images.
#[track_caller]
fn status_of_list(server: &Server, token: &str) -> u16 {
    let list = Request::get("/v1/images");
    server.request(&with_token(token, list)).status
}

/// Registers an image without data.
#[track_caller]
fn reserve(server: &Server, token: &str) -> Response {
    let request = Request::post("/v1/images").headers(RAW);
    server.request(&with_token(token, request)).expect(201)
}

/// A token for no project at all.
#[track_caller]
fn unscoped_token(keystone: &Keystone, user: &str) -> String {
    let user = keystone.user(user);
    let body = serde_json::json!({"auth": {
        "identity": {"methods": ["password"], "password": {
            "user": {"id": user.id, "password": user.password},
        }},
        "scope": "unscoped",
    }});
    let address = crate::support::backends::address_of(&keystone.auth_url);
    let request = Request::post("/v3/auth/tokens").header("Content-Type", "application/json");
    let mut connection = Connection::open(address).expect("a connection to Keystone");
    let answer = connection.request(&request.body(body.to_string()));
    let token = answer
        .expect(201)
        .header("x-subject-token")
        .map(str::to_owned);
    token.expect("a token")
}

/// A metric of a node, summed over its labels; zero when it is not there.
#[track_caller]
fn metric(server: &Server, name: &str) -> f64 {
    let page = server.connect_admin().request(&Request::get("/metrics"));
    let lines = page.text().lines();
    let values = lines
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

/// Number of token validations that a server has requested.
#[track_caller]
fn questions(server: &Server) -> f64 {
    metric(server, "glance_token_validation_duration_seconds_count")
}
