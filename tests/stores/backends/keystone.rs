//! Keystone over plain HTTP: tokens, their end, and the catalogue.

use std::collections::BTreeSet;
use std::net::TcpStream;

use crate::backends::stdout_of;
use crate::support::backends::keystone::{Keystone, Options};
use crate::support::backends::{Cloud, address_of, tool};
use crate::support::eventually;

#[test]
fn token_names_its_user_until_revoked() {
    let keystone = &Cloud::shared().keystone;
    let token = keystone.token("alice");
    let said = &keystone.validate(&token).expect(200).json()["token"];
    assert_eq!(said["user"]["id"], keystone.user("alice").id);
    assert_eq!(said["project"]["name"], "tenant-a");
    // In any order; the role member implies reader.
    let roles = said["roles"].as_array().expect("roles").iter();
    let roles: BTreeSet<&str> = roles.filter_map(|role| role["name"].as_str()).collect();
    assert_eq!(roles, BTreeSet::from(["member", "reader"]));
    keystone.revoke(&token);
    keystone.validate(&token).expect(404);
}

#[test]
fn users_of_the_handle_exist() {
    let keystone = &Cloud::shared().keystone;
    for (name, user) in &keystone.users {
        let token = keystone.token(name);
        let said = keystone.validate(&token).expect(200).json();
        assert_eq!(said["token"]["project"]["id"], user.project_id, "{name}");
    }
}

#[test]
fn tokens_expire_and_server_leaves_no_files() {
    let keystone = Keystone::start(&Options { token_s: 3 });
    // On a busy machine a token can expire before it arrives.
    let token = eventually("a valid token", || {
        let token = keystone.token("bob");
        (keystone.validate(&token).status == 200).then_some(token)
    });
    eventually("its end", || {
        (keystone.validate(&token).status == 404).then_some(())
    });
    assert_ends_without_trace(keystone);
}

/// A server ends with its handle and leaves no files.
#[track_caller]
fn assert_ends_without_trace(keystone: Keystone) {
    let (folder, address) = (keystone.folder().to_owned(), address_of(&keystone.auth_url));
    assert!(folder.exists() && TcpStream::connect(address).is_ok());
    drop(keystone);
    assert!(!folder.exists() && TcpStream::connect(address).is_err());
}

#[test]
fn catalogue_contains_the_services() {
    let Cloud { keystone, swift } = Cloud::shared();
    keystone.set_endpoint("image", "http://127.0.0.1:9292");
    let token = keystone.token("alice");
    let said = keystone.validate(&token).expect(200).json();
    let url_of = |service: &str| {
        let catalogue = said["token"]["catalog"].as_array().expect("a catalogue");
        let mut found = catalogue.iter().filter(|entry| entry["type"] == service);
        found.next().expect("the service")["endpoints"][0]["url"].clone()
    };
    let project = &keystone.user("alice").project_id;
    assert_eq!(url_of("identity"), keystone.auth_url);
    assert_eq!(url_of("image"), "http://127.0.0.1:9292");
    assert_eq!(
        url_of("object-store"),
        format!("{}/v1/AUTH_{project}", swift.url)
    );
}

/// keystoneauth is the library of the servers' middleware and of newer clients.
#[test]
fn keystoneauth_finds_the_object_store() {
    const SCRIPT: &str = "import sys, keystoneauth1.session, keystoneauth1.identity as i
url, user, password, project = sys.argv[1:]
auth = i.V3Password(url, user_id=user, password=password, project_id=project)
session = keystoneauth1.session.Session(auth)
# 204 of an empty account, 200 of one that another test has put something into.
print(session.get('', endpoint_filter={'service_type': 'object-store'}).status_code // 100)";
    let cloud = Cloud::shared();
    let bob = cloud.keystone.user("bob");
    let mut python = tool("python");
    python.args([
        "-c",
        SCRIPT,
        &cloud.keystone.auth_url,
        &bob.id,
        &bob.password,
        &bob.project_id,
    ]);
    assert_eq!(stdout_of(&mut python).trim(), "2");
}
