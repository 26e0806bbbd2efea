//! Warns about options that have no effect: options of Glance that can be ignored safely, and
//! unknown keys.
//!
//! `unsupported` handles the options that must not be ignored.

use std::collections::HashSet;

use crate::config::error::Warning;
use crate::config::ini::{DEFAULT, Entry, Ini};
use crate::config::unsupported;
use crate::config::values::Values;

/// Options of `[DEFAULT]` that are common in files for Glance and have no effect here.
const NO_EFFECT: &str = "\
    admin_password admin_tenant_name admin_user allow_additional_image_properties \
    allowed_rpc_exception_modules api_paste_config auth_region \
    auth_strategy auth_url client_retries conn_pool_min_size conn_pool_ttl control_exchange \
    default_log_levels default_notification_exchange default_notification_level \
    default_publisher_id delayed_delete_scrub digest_algorithm \
    disabled_notifications enable_v1_registry enable_v2_api enable_v2_registry enable_v3_api \
    enabled_import_methods eventlet_executor_pool_size executor_thread_pool_size \
    fatal_deprecations hashing_algorithm image_cache_driver \
    image_cache_sqlite_db image_cache_stall_time image_location_quota image_tag_quota \
    instance_format instance_uuid_format location_strategy lock_path log_rotate_interval \
    log_rotate_interval_type log_rotation_type logging_context_format_string \
    logging_debug_format_suffix logging_default_format_string logging_exception_prefix \
    logging_user_identity_format max_logfile_count max_logfile_size_mb \
    metadata_source_path node_staging_uri notification_driver \
    notification_topics notifier_strategy publish_errors pydev_worker_debug_host \
    pydev_worker_debug_port rate_limit_burst rate_limit_except_level rate_limit_interval \
    registry_client_cert_file registry_client_key_file \
    restore rpc_backend rpc_response_timeout scrubber_datadir \
    secure_proxy_ssl_header send_identity_headers show_image_direct_url show_multiple_locations \
    sql_idle_timeout sql_max_retries sql_retry_interval syslog_log_facility transport_url \
    use_journal use_json use_syslog use_syslog_rfc_format use_user_token \
    watch_log_file worker_self_reference_url \
    filesystem_store_metadata_file paste.app_factory use";

/// Prefixes of options of `[glance_store]`, and in old files of `[DEFAULT]`, that have no effect
/// here.
const NO_EFFECT_STORE: &str = "\
    cinder_ filesystem_store_chunk_size filesystem_store_metadata_file \
    filesystem_thin_provisioning http_proxy_information rbd_ rados_ rootwrap_config s3_store_ sheepdog_ \
    store_capabilities_update_min_interval swift_buffer_on_upload swift_store_admin_tenants \
    swift_store_ssl_compression swift_store_use_trusts swift_upload_buffer_dir vmware_";

/// Prefixes of sections whose remaining options have no effect here.
const NO_EFFECT_SECTIONS: &str = "\
    app: barbican cache cinder composite: cors database filter: glance. healthcheck \
    image_conversion image_format inject_metadata_properties key_manager \
    keystone_authtoken os_glance_ oslo_ paste_deploy pipeline: profiler property_protection \
    service_user ssl store_type_location_strategy task taskflow_executor vault wsgi";

/// Returns a warning for each option that is not read, or one for a whole section of Glance.
pub(crate) fn warn_ignored(values: &Values<'_>) -> Vec<Warning> {
    let mut reported: HashSet<&str> = HashSet::new();
    let mut warnings = Vec::new();
    for entry in &values.ini().entries {
        if values.declared(&entry.section, &entry.key).is_some() || is_unset(entry) {
            continue;
        }
        let (line, message) = if has_no_effect(entry) {
            (entry.line, format!("{entry} has no effect in this release"))
        } else if starts_with_any(&entry.section, NO_EFFECT_SECTIONS) {
            // One warning for each section: files for Glance contain whole sections of oslo.
            if !reported.insert(&entry.section) {
                continue;
            }
            section_warning(values.ini(), entry)
        } else {
            (
                entry.line,
                format!("{entry} is not an option of this program and is ignored"),
            )
        };
        warnings.push(Warning {
            position: values.position(line),
            message,
        });
    }
    warnings
}

/// Returns the line and the text of the one warning for all options of a section.
fn section_warning(ini: &Ini, entry: &Entry) -> (usize, String) {
    let Entry {
        section, key, line, ..
    } = entry;
    let header = ini.sections.iter().find(|(name, _)| name == section);
    let line = header.map_or(*line, |(_, line)| *line);
    (
        line,
        format!("[{section}] has options without effect in this release, {key} among them"),
    )
}

/// Returns true for an option that would prevent a start if it had a value, and is empty.
fn is_unset(entry: &Entry) -> bool {
    entry.value.is_empty() && unsupported::covers(&entry.section, &entry.key)
}

fn has_no_effect(entry: &Entry) -> bool {
    let (section, key) = (entry.section.as_str(), entry.key.as_str());
    let in_default = section == DEFAULT;
    let of_store = in_default || section == "glance_store";
    unsupported::covers(section, key)
        || (in_default && NO_EFFECT.split_whitespace().any(|name| name == key))
        || (of_store && starts_with_any(key, NO_EFFECT_STORE))
}

fn starts_with_any(name: &str, starts: &str) -> bool {
    starts
        .split_whitespace()
        .any(|start| name.starts_with(start))
}
