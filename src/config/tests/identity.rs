use std::time::Duration;

use super::{sound, wrong};
use crate::config::IdentityMode;

const KEYSTONE: &str = "[paste_deploy]\nflavor = keystone\n[keystone_authtoken]\n";

#[test]
fn nobody_is_asked_unless_a_flavor_says_so() {
    for (flavor, mode) in [
        ("", IdentityMode::Nobody),
        ("none", IdentityMode::Nobody),
        ("caching", IdentityMode::Nobody),
        ("trusted-auth", IdentityMode::TrustedAuth),
        ("trusted-auth+cachemanagement", IdentityMode::TrustedAuth),
    ] {
        let (config, warnings) = sound(&format!("[paste_deploy]\nflavor = {flavor}\n"));
        assert_eq!(config.paste.identity(), mode, "{flavor}");
        assert_eq!(config.paste.caches(), flavor.contains("cach"), "{flavor}");
        let manages = flavor.contains("cachemanagement");
        assert_eq!(config.paste.manages_cache(), manages, "{flavor}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }
    let unknown = wrong("[paste_deploy]\nflavor = keystone2\n");
    assert!(
        unknown.starts_with("g.conf:2: [paste_deploy] flavor"),
        "{unknown}"
    );
}

#[test]
fn keystone_needs_an_address_and_a_user() {
    let mut text = KEYSTONE.to_owned();
    for (option, value) in [
        ("auth_url", "http://keystone:5000/v3"),
        ("username", "glance"),
        ("password", "CANARY$$"),
        ("project_name", "service"),
    ] {
        let error = wrong(&text);
        assert!(error.contains(option), "{error}");
        assert!(
            error.contains("because of [paste_deploy] flavor"),
            "{error}"
        );
        text.push_str(&format!("{option} = {value}\n"));
    }
    let (config, warnings) = sound(&text);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.paste.identity(), IdentityMode::Keystone);
    assert_eq!(config.keystone.password.expose(), "CANARY$");
    assert!(!format!("{config:?}").contains("CANARY"));
}

#[test]
fn the_names_of_old_configurations() {
    let (config, warnings) = sound(&format!(
        "{KEYSTONE}identity_uri = http://keystone:35357\nauth_uri = https://public/identity\n\
         admin_user = glance\nadmin_password = CANARY\nadmin_tenant_name = service\n\
         token_cache_time = -1\n"
    ));
    assert_eq!(warnings, [""; 0]);
    let keystone = &config.keystone;
    assert_eq!(keystone.auth_url.as_deref(), Some("http://keystone:35357"));
    assert_eq!(
        keystone.www_authenticate_uri.as_deref(),
        Some("https://public/identity")
    );
    assert_eq!(keystone.username, "glance");
    assert_eq!(keystone.project_name, "service");
    assert_eq!(keystone.token_cache_time, Duration::ZERO);
}

#[test]
fn a_password_is_in_no_error() {
    let error = wrong(&format!("{KEYSTONE}password = CANARY$CANARY\n"));
    assert!(!error.contains("CANARY"), "{error}");
}

#[test]
fn what_opens_a_door_is_a_warning() {
    let (_, warnings) = sound(
        "[DEFAULT]\nbind_host = 0.0.0.0\ntrusted_proxies = 0.0.0.0/0\n\
         [paste_deploy]\nflavor = trusted-auth\n[keystone_authtoken]\ninsecure = true\n",
    );
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("g.conf:3: everybody may say"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("g.conf:7: whoever stands between"),
        "{warnings:?}"
    );
}
