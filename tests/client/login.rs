//! Logins at a real Keystone, whose catalogue names a real `glance-api` behind TLS.

use std::fs;
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Value, json};

use crate::program::{glance, stderr, stdout};
use crate::support::backends::address_of;
use crate::support::backends::keystone::{Keystone, Options, User};
use crate::support::http::{Connection, Request};
use crate::support::server::{Server, Setup};
use crate::tls_front::TlsFront;

/// A Keystone, an API server that validates its tokens, and the TLS front in the catalogue.
struct Cloud {
    keystone: Keystone,
    front: TlsFront,
    _server: Server,
}

impl Cloud {
    /// Returns the cloud that all tests of this file share, one test at a time: the SQLite of the
    /// test's Keystone fails under concurrent logins.
    fn shared() -> MutexGuard<'static, Self> {
        static SHARED: OnceLock<Mutex<Cloud>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Mutex::new(Self::start()));
        shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start() -> Self {
        let keystone = Keystone::start(&Options::default());
        let service = keystone.user("glance");
        let server = [
            ("auth_url", keystone.auth_url.as_str()),
            ("username", &service.name),
            ("password", &service.password),
            ("project_name", &service.project),
            ("user_domain_name", "Default"),
        ]
        .into_iter()
        .fold(
            Setup::new().option_in("paste_deploy", "flavor", "keystone"),
            |setup, (key, value)| setup.option_in("keystone_authtoken", key, value),
        )
        .start();
        let front = TlsFront::start(server.address());
        // Many clouds register the URL of v2.
        keystone.set_endpoint("image", &format!("{}/v2", front.url()));
        Cloud {
            keystone,
            front,
            _server: server,
        }
    }

    fn alice(&self) -> &User {
        self.keystone.user("alice")
    }

    /// Returns the program with the authority of the front.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = glance(arguments);
        command.env("OS_CACERT", self.front.authority.ca_file());
        command
    }

    /// Returns the program with the variables of an `openrc` of alice.
    fn openrc(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        let alice = self.alice();
        command
            .env("OS_AUTH_URL", &self.keystone.auth_url)
            .env("OS_USERNAME", &alice.name)
            .env("OS_PASSWORD", &alice.password)
            .env("OS_PROJECT_NAME", &alice.project)
            .env("OS_USER_DOMAIN_NAME", "Default")
            .env("OS_PROJECT_DOMAIN_ID", &self.keystone.domain_id)
            .env("OS_REGION_NAME", &self.keystone.region);
        command
    }
}

#[track_caller]
fn succeed(mut command: Command) -> Output {
    let output = command.output().expect("the program");
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    output
}

#[test]
fn login_by_variables_finds_the_service_in_the_catalogue() {
    let cloud = Cloud::shared();
    let listed = succeed(cloud.openrc(&["--json", "image-list", "--is-public", "False"]));
    assert!(
        serde_json::from_slice::<Value>(&listed.stdout)
            .unwrap()
            .is_array()
    );
    // Without a login the server refuses.
    let mut anonymous = cloud.command(&["-U", &cloud.front.url(), "image-list"]);
    let refused = anonymous.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("OS_CLOUD"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn wrong_password_is_refused_and_not_shown() {
    let cloud = Cloud::shared();
    let mut command = cloud.openrc(&["-v", "image-list"]);
    let output = command.env("OS_PASSWORD", "CANARY").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("refused the login. Check the user, the password"),
        "{text}"
    );
    assert!(!text.contains("CANARY"), "{text}");
    let mut command = cloud.openrc(&["image-list"]);
    let output = command
        .env("OS_AUTH_URL", "http://127.0.0.1:1/v3")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn verbose_login_shows_neither_password_nor_token() {
    let cloud = Cloud::shared();
    let output = succeed(cloud.openrc(&["--debug", "image-list"]));
    let text = stderr(&output);
    assert!(text.contains("requesting a token"), "{text}");
    assert!(!text.contains(&cloud.alice().password), "{text}");
    // Fernet tokens begin with this.
    assert!(!text.contains("gAAAA"), "{text}");
}

#[test]
fn token_is_exchanged_for_one_of_the_project() {
    let cloud = Cloud::shared();
    let mut command = cloud.openrc(&["image-list"]);
    command.env_remove("OS_USERNAME").env_remove("OS_PASSWORD");
    command.env("OS_TOKEN", cloud.keystone.token("alice"));
    succeed(command);
}

#[test]
fn cloud_of_clouds_yaml_is_logged_in_at() {
    let cloud = Cloud::shared();
    let alice = cloud.alice();
    let folder = tempfile::tempdir().unwrap();
    let clouds = json!({"clouds": {"test": {
        "auth": {
            "auth_url": cloud.keystone.auth_url,
            "username": alice.name,
            "project_name": alice.project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": cloud.keystone.region,
        "cacert": cloud.front.authority.ca_file(),
    }}});
    let secure = json!({"clouds": {"test": {"auth": {"password": alice.password}}}});
    fs::write(folder.path().join("clouds.yaml"), clouds.to_string()).unwrap();
    fs::write(folder.path().join("secure.yaml"), secure.to_string()).unwrap();
    let mut command = glance(&["image-list"]);
    // Left over from the login at another cloud.
    command.env("OS_CLOUD", "test").env("OS_USERNAME", "bob");
    command.current_dir(folder.path());
    succeed(command);
    let mut command = glance(&["--os-cloud", "other", "image-list"]);
    let output = command.current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("no cloud 'other'"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn application_credential_logs_in_without_a_password() {
    let cloud = Cloud::shared();
    let alice = cloud.alice();
    let address = address_of(&cloud.keystone.auth_url);
    let path = format!("/v3/users/{}/application_credentials", alice.id);
    let body = json!({"application_credential": {"name": "client-test"}});
    let request = Request::post(&path)
        .header("Content-Type", "application/json")
        .header("X-Auth-Token", cloud.keystone.token("alice"))
        .body(body.to_string());
    let created = Connection::open(address).unwrap().request(&request);
    let created: Value = serde_json::from_str(created.expect(201).text()).unwrap();
    let credential = |key: &str| created["application_credential"][key].as_str().unwrap();
    let mut command = cloud.command(&["image-list"]);
    command
        .env("OS_AUTH_URL", &cloud.keystone.auth_url)
        .env("OS_APPLICATION_CREDENTIAL_ID", credential("id"))
        .env("OS_APPLICATION_CREDENTIAL_SECRET", credential("secret"));
    succeed(command);
}
