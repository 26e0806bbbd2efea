//! Keystone cannot be asked without an address and a user.

use super::conflict::conflict;
use crate::config::options::IdentityMode;
use crate::config::root::Config;
use crate::config::values::Values;

pub(super) fn check(config: &Config, values: &Values<'_>) {
    let is_asked = config.paste.identity() == IdentityMode::Keystone;
    if !is_asked || !values.are_valid(&["flavor"]) {
        return;
    }
    let keystone = &config.keystone;
    let neither = |one: &str, other: &str| one.is_empty() && other.is_empty();
    let needed = [
        (
            &["auth_url", "auth_host", "auth_port", "auth_protocol"][..],
            keystone.auth_url.is_none(),
            "the URL of Keystone",
        ),
        (
            &["username", "user_id"],
            neither(&keystone.username, &keystone.user_id),
            "the user of this server",
        ),
        (&["password"], keystone.password.is_empty(), "its password"),
        (
            &["project_name", "project_id"],
            neither(&keystone.project_name, &keystone.project_id),
            "its project",
        ),
    ];
    for (names, is_missing, what) in needed {
        if is_missing && values.are_valid(names) {
            let expected = format!("{what}, because of [paste_deploy] flavor = keystone");
            let option = ("keystone_authtoken", names[0]);
            values.report(conflict(values, option, "", &expected));
        }
    }
}
