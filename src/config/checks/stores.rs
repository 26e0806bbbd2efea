//! Rules about stores: a store that is in use needs its options.

use super::conflict::{conflict, line_of};
use crate::config::options::{S3Config, store_named};
use crate::config::root::Config;
use crate::config::values::Values;

const SECTION: &str = "glance_store";

/// Returns the required options of the S3 store, each with true if it is missing and a description.
fn needed_by_s3(s3: &S3Config) -> [(&'static str, bool, &'static str); 4] {
    [
        ("s3_store_host", s3.s3_store_host.is_none(), "a host"),
        (
            "s3_store_access_key",
            s3.s3_store_access_key.is_empty(),
            "an access key",
        ),
        (
            "s3_store_secret_key",
            s3.s3_store_secret_key.is_empty(),
            "a secret key",
        ),
        (
            "s3_store_bucket",
            s3.s3_store_bucket.is_empty(),
            "a bucket's name",
        ),
    ]
}

/// Disables listed stores of which nothing is configured, with a warning: the files of many Glance
/// installations list every store. The default store is left to [`check`], which reports it.
pub(crate) fn disable_unconfigured_stores(config: &mut Config, values: &Values<'_>) {
    let needed = needed_by_s3(&config.s3);
    let names = needed.map(|(name, ..)| name);
    let is_unconfigured = config.store.has("s3")
        && config.store.default_store != "s3"
        && values.are_valid(&names)
        && needed.iter().all(|(_, is_missing, _)| *is_missing);
    if is_unconfigured {
        let line = line_of(values, SECTION, "stores");
        let names = names.join(", ");
        values.warn(
            line,
            format!("the store s3 is disabled: none of {names} is set"),
        );
        let stores = &mut config.store.stores;
        stores.retain(|name| store_named(name) != Some("s3"));
    }
    let is_without_account = config.store.has("swift")
        && config.store.default_store != "swift"
        && config.swift_accounts.is_empty();
    if is_without_account {
        let line = line_of(values, SECTION, "stores");
        let message = "the store swift has no account: it stores no images and reads only images \
                       whose location contains a user and a key";
        values.warn(line, message.to_owned());
    }
}

pub(super) fn check(config: &Config, values: &Values<'_>) {
    if values.are_valid(&["default_store", "stores"]) {
        check_default_store(config, values);
        check_s3(config, values);
        check_swift(config, values);
    }
    let s3 = &config.s3;
    let (part_mib, memory_mib) = (
        s3.s3_store_large_object_chunk_size,
        s3.s3_store_upload_memory,
    );
    let names = ["s3_store_large_object_chunk_size", "s3_store_upload_memory"];
    if part_mib > memory_mib && values.are_valid(&names) {
        let option = (SECTION, "s3_store_large_object_chunk_size");
        let expected = format!("at most s3_store_upload_memory, {memory_mib}");
        values.report(conflict(values, option, part_mib, &expected));
    }
}

fn check_default_store(config: &Config, values: &Values<'_>) {
    let store = &config.store;
    let (default_store, stores) = (store.default_store, store.stores.join(","));
    if store.has(default_store) {
        return;
    }
    // Report the option that the operator wrote, not the other one.
    let option = (SECTION, "default_store");
    if line_of(values, option.0, option.1) != 0 {
        let expected = format!("one of stores, {stores}");
        return values.report(conflict(values, option, default_store, &expected));
    }
    let expected = format!("a list that contains {default_store}");
    values.report(conflict(values, (SECTION, "stores"), stores, &expected));
}

fn check_s3(config: &Config, values: &Values<'_>) {
    if !config.store.has("s3") {
        return;
    }
    for (name, is_missing, what) in needed_by_s3(&config.s3) {
        if is_missing && values.are_valid(&[name]) {
            let expected = format!("{what}, because s3 is in stores");
            values.report(conflict(values, (SECTION, name), "", &expected));
        }
    }
}

/// Reports a missing account if new images are stored in Swift.
fn check_swift(config: &Config, values: &Values<'_>) {
    const OPTIONS: [&str; 4] = [
        "swift_store_auth_address",
        "swift_store_user",
        "swift_store_key",
        "swift_store_config_file",
    ];
    let reference = &config.swift.default_swift_reference;
    let mut accounts = config.swift_accounts.iter();
    if config.store.default_store != "swift"
        || !values.are_valid(&OPTIONS)
        || values.has_invalid_accounts()
        || accounts.any(|account| account.reference == *reference)
    {
        return;
    }
    let problem = match &config.swift.swift_store_config_file {
        Some(file) => {
            let expected = format!("a section of {}", file.display());
            let option = (SECTION, "default_swift_reference");
            conflict(values, option, reference, &expected)
        }
        None => conflict(
            values,
            (SECTION, "default_store"),
            "swift",
            "a configured store: swift needs swift_store_auth_address, swift_store_user and \
             swift_store_key",
        ),
    };
    values.report(problem);
}
