use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::config::Config;

const BY_OPTIONS: &str = "[glance_store]\nstores = swift\ndefault_store = swift\n\
    swift_store_auth_address = keystone:5000/v3/\nswift_store_key = CANARY\n";

fn file(text: &str, mode: u32) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("swift.conf");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

fn of_file(text: &str, mode: u32) -> Result<Vec<SwiftAccount>, String> {
    let (_folder, path) = file(text, mode);
    let text = format!(
        "[glance_store]\ndefault_store = swift\nswift_store_config_file = {}\n",
        path.display()
    );
    let accounts = Config::from_text("g.conf", &text).map(|(config, _)| config.swift_accounts);
    accounts.map_err(|error| error.to_string())
}

fn wrong(text: &str) -> String {
    Config::from_text("g.conf", text).unwrap_err().to_string()
}

#[test]
fn options_describe_one_account() {
    let text = format!("{BY_OPTIONS}swift_store_user = service:glance\n");
    let (config, warnings) = Config::from_text("g.conf", &text).unwrap();
    assert_eq!(warnings, []);
    let [account] = &config.swift_accounts[..] else {
        panic!("{:?}", config.swift_accounts);
    };
    assert_eq!(account.reference, "ref1");
    assert_eq!(account.auth_address, "https://keystone:5000/v3");
    assert_eq!(account.auth, SwiftAuth::V3);
    assert_eq!(account.key.expose(), "CANARY");
    assert_eq!(account.user_domain, DomainOption::Id("default".to_owned()));
    assert!(!format!("{config:?}").contains("CANARY"));
}

#[test]
fn account_that_cannot_log_in_prevents_a_start() {
    let no_project = wrong(&format!("{BY_OPTIONS}swift_store_user = glance\n"));
    let at_the_line =
        "g.conf:6: [glance_store] swift_store_user = \"glance\": expected project:user";
    assert_eq!(no_project, at_the_line);
    let old = format!("{BY_OPTIONS}swift_store_user = a:b\nswift_store_auth_version = 2\n");
    let old = wrong(&old);
    assert!(
        old.starts_with("g.conf:7:") && old.contains("Keystone removed v2.0"),
        "{old}"
    );
    let no_user = wrong(BY_OPTIONS);
    assert!(no_user.contains("swift_store_auth_address"), "{no_user}");
}

#[test]
fn leftover_options_of_an_unused_store_are_ignored() {
    let text = "[DEFAULT]\nswift_store_auth_version = 2\nswift_store_auth_address = 127.0.0.1:5000/v2.0/\n\
        swift_store_user = jdoe:jdoe\nswift_store_key = a\n";
    let (config, warnings) = Config::from_text("g.conf", text).unwrap();
    assert_eq!((config.swift_accounts, warnings), (vec![], vec![]));
}

#[test]
fn error_of_a_bad_reference_hides_the_secret() {
    let error = wrong("[glance_store]\nswift_store_key = CANARY$nowhere\n");
    assert!(
        error.starts_with("g.conf:2:") && !error.contains("CANARY"),
        "{error}"
    );
}

#[test]
fn account_file_is_read() {
    let accounts = of_file(
        "[ref1]\nuser = service:glance\nkey = one\nauth_address = http://k:5000/v3\n\
         user_domain_name = Users\nproject_domain_id = p1\n\
         [old]\nuser = test:tester\nkey = 'two'\nauth_address = http://s/auth/v1.0\nauth_version = 1\n",
        0o640,
    );
    let accounts = accounts.unwrap();
    assert_eq!(accounts.len(), 2);
    assert_eq!(
        accounts[0].user_domain,
        DomainOption::Name("Users".to_owned())
    );
    assert_eq!(
        accounts[0].project_domain,
        DomainOption::Id("p1".to_owned())
    );
    assert_eq!(
        (accounts[1].auth, accounts[1].key.expose()),
        (SwiftAuth::V1, "two")
    );
}

#[test]
fn incomplete_or_exposed_account_file_is_an_error() {
    let no_key = of_file("\n[ref1]\nuser = a:b\nauth_address = http://k\n", 0o600).unwrap_err();
    assert!(no_key.contains("swift.conf:2: [ref1] key"), "{no_key}");
    let exposed = of_file(
        "[ref1]\nuser = a:b\nkey = CANARY\nauth_address = http://k\n",
        0o644,
    );
    let exposed = exposed.unwrap_err();
    assert!(
        exposed.contains("chmod o-r") && !exposed.contains("CANARY"),
        "{exposed}"
    );
}

#[test]
fn invalid_account_without_new_images_is_omitted_with_a_warning() {
    let (_folder, path) = file(
        "[ref1]\nuser = a:b\nkey = k\nauth_address = http://k\n\
         [a/b]\nuser = a:b\nkey = k\nauth_address = http://k\n\
         [nokey]\nuser = a:b\nauth_address = http://k\n\
         [old]\nuser = a:b\nkey = CANARY\nauth_address = http://k\nauth_version = 2\n",
        0o600,
    );
    let text = format!(
        "[glance_store]\ndefault_store = swift\nswift_store_config_file = {}\n",
        path.display()
    );
    let (config, warnings) = Config::from_text("g.conf", &text).unwrap();
    let names: Vec<&str> = config
        .swift_accounts
        .iter()
        .map(|a| &*a.reference)
        .collect();
    assert_eq!(names, ["ref1"]);
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for (warning, words) in warnings.iter().zip([
        "swift.conf:5: the account a/b is not used: [a/b] ",
        "swift.conf:9: the account nokey is not used: [nokey] key",
        "swift.conf:16: the account old is not used: [old] auth_version",
    ]) {
        assert!(
            warning.contains(words) && !warning.contains("CANARY"),
            "{warning}"
        );
    }
}

#[test]
fn configuration_with_a_key_must_not_be_world_readable() {
    let text = format!("{BY_OPTIONS}swift_store_user = service:glance\n");
    let (_folder, path) = file(&text, 0o644);
    let error = Config::load(&path).unwrap_err();
    assert!(
        matches!(error, ConfigError::WorldReadable { .. }),
        "{error}"
    );
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(Config::load(&path).is_ok());
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, "[glance_store]\nswift_store_key =\n").unwrap();
    assert!(Config::load(&path).is_ok());
}
