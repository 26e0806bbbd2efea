//! Starts OpenStack Keystone.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::super::http::{Connection, Request, Response};
use super::{Program, address_of, python, venv};

/// A running Keystone.
#[derive(Debug)]
pub struct Keystone {
    pub handle: KeystoneHandle,
    program: Program,
}

/// Addresses and users of a Keystone.
#[derive(Debug, Clone, Deserialize)]
pub struct KeystoneHandle {
    /// URL, including `/v3`.
    pub auth_url: String,
    pub region: String,
    /// Domain of all users and projects.
    pub domain_id: String,
    /// `admin`; `alice`, `adam` (members) and `rita` (reader) of `tenant-a`; `bob` of
    /// `tenant-b`; `glance` and `swift`, which may validate tokens.
    pub users: BTreeMap<String, User>,
}

/// A user with a password.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub name: String,
    pub id: String,
    pub password: String,
    /// Name of the only project in which the user has a role.
    pub project: String,
    pub project_id: String,
}

/// Settings of a Keystone.
#[derive(Debug, Clone)]
pub struct Options {
    /// Lifetime of tokens in seconds.
    pub token_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { token_s: 3600 }
    }
}

impl Keystone {
    /// Starts a Keystone for one test.
    pub fn start(options: &Options) -> Self {
        let seed = venv().join("keystone-seed").display().to_string();
        let token_s = options.token_s.to_string();
        let arguments = ["--seed", &seed, "--token-s", &token_s];
        let (program, handle) = Program::start("run_keystone.py", &arguments);
        Self { handle, program }
    }

    /// Returns the file with its addresses and users.
    pub fn file(&self) -> &Path {
        &self.program.json
    }

    /// Sets the endpoints of a service in the catalogue: `image` or `object-store`.
    #[track_caller]
    pub fn set_endpoint(&self, service_type: &str, url: &str) {
        let mut command = python("keystone_admin.py");
        command.arg(self.file()).args([service_type, url]);
        assert!(command.status().expect("python").success(), "{command:?}");
    }

    /// Returns the folder that contains all of its files.
    pub fn folder(&self) -> &Path {
        &self.program.folder
    }

    /// Returns its log so far.
    pub fn log(&self) -> String {
        self.program.read("keystone.log")
    }
}

impl Deref for Keystone {
    type Target = KeystoneHandle;

    fn deref(&self) -> &KeystoneHandle {
        &self.handle
    }
}

impl KeystoneHandle {
    /// # Panics
    /// Panics if there is no user of that name.
    #[track_caller]
    pub fn user(&self, name: &str) -> &User {
        let user = self.users.get(name);
        user.unwrap_or_else(|| panic!("{name} is not a user of the test's Keystone"))
    }

    /// Returns a new token of a user for the user's project.
    #[track_caller]
    pub fn token(&self, user: &str) -> String {
        let user = self.user(user);
        let who = json!({"user": {"id": user.id, "password": user.password}});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": who},
            "scope": {"project": {"id": user.project_id}},
        }});
        let request = self.request("POST", "/auth/tokens").body(body.to_string());
        let answer = self.exchange(&request.header("Content-Type", "application/json"));
        let token = answer
            .expect(201)
            .header("x-subject-token")
            .map(str::to_owned);
        token.expect("a token")
    }

    /// Returns the status with which Keystone answers the validation of a token: 200 or 404.
    #[track_caller]
    pub fn validate(&self, token: &str) -> Response {
        self.exchange(&self.about("GET", token))
    }

    #[track_caller]
    pub fn revoke(&self, token: &str) {
        self.exchange(&self.about("DELETE", token)).expect(204);
    }

    fn about(&self, method: &str, token: &str) -> Request {
        self.request(method, "/auth/tokens")
            .header("X-Auth-Token", self.token("glance"))
            .header("X-Subject-Token", token)
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, &format!("/v3{path}"))
    }

    #[track_caller]
    fn exchange(&self, request: &Request) -> Response {
        let connection = Connection::open(address_of(&self.auth_url));
        connection
            .expect("a connection to Keystone")
            .request(request)
    }
}
