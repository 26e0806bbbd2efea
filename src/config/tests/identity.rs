use std::time::Duration;

use super::{sound, wrong};
use crate::config::IdentityMode;

const KEYSTONE: &str = "[paste_deploy]\nflavor = keystone\n[keystone_authtoken]\n";

#[test]
fn authentication_is_off_unless_a_flavor_enables_it() {
    for (flavor, mode) in [
        ("", IdentityMode::Disabled),
        ("none", IdentityMode::Disabled),
        ("caching", IdentityMode::Disabled),
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
fn keystone_flavor_needs_an_address_and_a_user() {
    let mut text = KEYSTONE.to_owned();
    assert_eq!(wrong(&text).lines().count(), 4);
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
fn option_names_of_old_releases_are_read() {
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

/// Up to Juno the URL was given in parts.
#[test]
fn keystone_url_is_built_from_its_parts() {
    const USER: &str =
        "admin_user = glance\nadmin_password = CANARY\nadmin_tenant_name = service\n";
    let url = |parts: &str| {
        let (config, warnings) = sound(&format!("{KEYSTONE}{USER}{parts}"));
        (config.keystone.auth_url.unwrap_or_default(), warnings)
    };
    for (parts, expected) in [
        ("auth_host = keystone\n", "https://keystone:35357"),
        (
            "auth_host = 10.0.0.1\nauth_port = 5000\nauth_protocol = http\n",
            "http://10.0.0.1:5000",
        ),
        (
            "auth_host = fd00::1\nauth_protocol = http\nauth_admin_prefix = /identity/\n",
            "http://[fd00::1]:35357/identity",
        ),
    ] {
        assert_eq!(url(parts), (expected.to_owned(), vec![]), "{parts}");
    }
    let (both, warnings) = url("auth_url = http://k:5000\nauth_host = other\n");
    assert_eq!(both, "http://k:5000");
    assert_eq!(
        warnings,
        ["g.conf:8: [keystone_authtoken] auth_host is ignored, because auth_url is set"]
    );
    let wrong_port = wrong(&format!("{KEYSTONE}{USER}auth_host = k\nauth_port = x\n"));
    assert!(wrong_port.starts_with("g.conf:8: [keystone_authtoken] auth_port"));
    assert_eq!(wrong_port.lines().count(), 1, "{wrong_port}");
}

#[test]
fn errors_contain_no_password() {
    let error = wrong(&format!("{KEYSTONE}password = CANARY$CANARY\n"));
    assert!(!error.contains("CANARY"), "{error}");
}

#[test]
fn insecure_settings_cause_warnings() {
    let (_, warnings) = sound(
        "[DEFAULT]\nbind_host = 0.0.0.0\ntrusted_proxies = 0.0.0.0/0\n\
         [paste_deploy]\nflavor = trusted-auth\n[keystone_authtoken]\ninsecure = true\n",
    );
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("g.conf:3: with the flavor trusted-auth"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("g.conf:7: anyone between"),
        "{warnings:?}"
    );
}
