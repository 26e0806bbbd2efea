use std::path::Path;

use super::*;
use std::time::Duration;

mod identity;

fn sound(text: &str) -> (Config, Vec<String>) {
    let (config, warnings) = Config::from_text("g.conf", text).expect("a sound configuration");
    (config, warnings.iter().map(ToString::to_string).collect())
}

fn wrong(text: &str) -> String {
    let error = Config::from_text("g.conf", text).expect_err("a wrong configuration");
    assert_eq!(error.exit_code(), 78, "{error}");
    error.to_string()
}

#[test]
fn empty_file_gives_the_defaults() {
    let (config, warnings) = sound("");
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.listen.api_address().to_string(), "127.0.0.1:9292");
    let admin = config.listen.admin_address().expect("on");
    assert_eq!(admin.to_string(), "127.0.0.1:9293");
    assert_eq!(
        config.http.client_socket_timeout,
        Some(Duration::from_secs(60))
    );
    assert_eq!(config.images.image_size_cap, 1 << 40);
    assert_eq!(config.images.disk_formats.len(), 11);
    assert_eq!(
        config.registry.registry_dir,
        Path::new("/var/lib/glance/registry")
    );
    assert_eq!(
        config.store.filesystem_store_datadir,
        Path::new("/var/lib/glance/images")
    );
    assert_eq!(config.store.filesystem_store_file_perm, Some(0o640));
    assert_eq!(config.healthcheck.disable_by_file_path, None);
}

#[test]
fn values_come_from_the_file() {
    let (config, warnings) = sound(
        "[DEFAULT]\nbind_port = 9000\nadmin_bind_port: 0\ndata_dir = /srv/g\nio_backend = threads\n\
         image_property_quota = -1\ndisk_formats = raw,\n  qcow2\nhttp_keepalive = False\n\
         [glance_store]\nfilesystem_store_file_perm = 0\n[healthcheck]\ndisable_by_file_path = /run/off\n",
    );
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.listen.bind_port, 9000);
    assert_eq!(config.listen.admin_address(), None);
    assert_eq!(config.data.io_backend, IoBackend::Threads);
    assert_eq!(config.images.image_property_quota, None);
    assert_eq!(config.images.disk_formats, ["raw", "qcow2"]);
    assert!(!config.http.http_keepalive);
    assert_eq!(
        config.store.filesystem_store_datadir,
        Path::new("/srv/g/images")
    );
    assert_eq!(config.store.filesystem_store_file_perm, None);
    assert_eq!(
        config.healthcheck.disable_by_file_path,
        Some("/run/off".into())
    );
}

#[test]
fn older_names_of_an_option_are_read() {
    let (config, warnings) = sound(
        "[DEFAULT]\ndefault_store = file\nfilesystem_store_datadir = /old\ndisable_by_file = /off\n\
         [image_format]\ndisk_formats = raw\n",
    );
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.store.filesystem_store_datadir, Path::new("/old"));
    assert_eq!(config.healthcheck.disable_by_file_path, Some("/off".into()));
    assert_eq!(config.images.disk_formats, ["raw"]);

    let (config, warnings) = sound(
        "[glance_store]\nfilesystem_store_datadir = /new\n[DEFAULT]\nfilesystem_store_datadir = /old\n",
    );
    assert_eq!(config.store.filesystem_store_datadir, Path::new("/new"));
    assert_eq!(
        warnings,
        [
            "g.conf:4: [DEFAULT] filesystem_store_datadir is ignored: [glance_store] \
          filesystem_store_datadir in line 2 sets the same option"
        ]
    );
}

#[test]
fn section_of_the_first_glance_overrides_default() {
    let (config, warnings) = sound(
        "[app:glance-api]\npaste.app_factory = glance.server:app_factory\nbind_port = 9001\n\
         [DEFAULT]\nbind_port = 9000\ndebug = True\n[app:glance-registry]\nbind_port = 9191\n",
    );
    assert_eq!(config.listen.bind_port, 9001);
    assert!(config.log.debug);
    assert_eq!(
        warnings,
        [
            "g.conf:2: [DEFAULT] paste.app_factory has no effect in this release",
            "g.conf:7: [app:glance-registry] has options without effect in this release, bind_port among them",
        ]
    );
}

#[test]
fn s3_store_needs_its_options() {
    let options = [
        ("s3_store_host", "https://s3.example.org"),
        ("s3_store_access_key", "KEY"),
        ("s3_store_secret_key", "CANARY$$"),
        ("s3_store_bucket", "images"),
    ];
    let all = wrong("[glance_store]\ndefault_store = s3\n");
    assert_eq!(all.lines().count(), 4, "{all}");
    let mut text = "[glance_store]\nstores = file,s3\n".to_owned();
    for (number, (option, value)) in options.into_iter().enumerate() {
        if number == 0 {
            text.push_str(&format!("{option} = {value}\n"));
            continue;
        }
        let error = wrong(&text);
        assert!(error.contains(option), "{error}");
        assert!(error.contains("because s3 is in stores"), "{error}");
        text.push_str(&format!("{option} = {value}\n"));
    }
    let large = format!("{text}s3_store_large_object_chunk_size = 129\n");
    assert!(wrong(&large).contains("at most s3_store_upload_memory, 64"));
    let (config, warnings) = sound(&text);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.s3.s3_store_secret_key.expose(), "CANARY$");
    assert!(!format!("{config:?}").contains("CANARY"));
}

/// Files for old Glance releases list every store.
#[test]
fn listed_stores_without_configuration_are_disabled() {
    let (config, warnings) = sound("[glance_store]\nstores = file,http,rbd,s3,swift\n");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .all(|warning| warning.starts_with("g.conf:2: "))
    );
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("s3 is disabled: none of s3_store_host"))
    );
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("swift has no account"))
    );
    assert!(!config.store.has("s3") && config.store.has("http"));
}

#[test]
fn every_problem_is_reported_with_its_line() {
    let error = wrong(
        "[DEFAULT]\nbind_port = x\nworkers = many\nnonsense\nenabled_backends = a:file,b:file\n\
         admin_bind_port = 9292\nmax_header_size = 8192\nmax_header_line = 9000\ncert_file = /c\n\
         [glance_store]\ndefault_store = swift\n[broken\nx = 1\n",
    );
    let lines: Vec<&str> = error.lines().collect();
    // The invalid bind_port cannot be compared with admin_bind_port.
    for (line, start) in lines.iter().zip([
        "g.conf:2: [DEFAULT] bind_port",
        "g.conf:3: [DEFAULT] workers",
        "g.conf:4: this line",
        "g.conf:5: [DEFAULT] enabled_backends: this release has one store of each kind",
        "g.conf:8: [DEFAULT] max_header_line",
        "g.conf:9: [DEFAULT] cert_file",
        "g.conf:11: [glance_store] default_store",
        "g.conf:12: this line",
    ]) {
        assert!(line.starts_with(start), "{start}: {error}");
    }
    assert_eq!(lines.len(), 8, "{error}");
    // A default that refers to an invalid option is not reported in addition.
    let error = wrong("[DEFAULT]\ndata_dir = $nowhere\nbind_port = x\n");
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn registry_backend_missing_from_the_build_is_a_problem() {
    let problems = |has_etcd| {
        let ini = ini::parse("[DEFAULT]\nregistry_backend = etcd\n").expect("INI");
        let groups = root::groups();
        let values = values::Values::new("g.conf", &ini, &groups);
        let config = Config::read(&values).expect("sound");
        checks::check_build(&config, &values, has_etcd);
        values.findings().0
    };
    assert!(problems(true).is_empty());
    let missing = ConfigError::combine(problems(false)).expect("a problem");
    assert_eq!(missing.exit_code(), 78);
    let words = missing.to_string();
    assert!(
        words.starts_with("g.conf:2: [DEFAULT] registry_backend"),
        "{words}"
    );
    assert!(words.contains("built without etcd"), "{words}");
}

#[test]
fn errors_contain_no_secret() {
    let error = wrong("[glance_store]\ns3_store_secret_key = CANARY$CANARY\n");
    assert!(!error.contains("CANARY"), "{error}");
    assert!(error.contains("a plain dollar sign is $$"), "{error}");
}

#[test]
fn dollar_references_are_replaced() {
    let (config, _) = sound(
        "[DEFAULT]\nstate = /srv\ndata_dir = $state/g\nlog_dir = ${glance_store.filesystem_store_datadir}/l\n\
         log_format = $$5 \\$6 %(message)s\n[glance_store]\nfilesystem_store_datadir = ${data_dir}-img\n",
    );
    assert_eq!(config.data.data_dir, Path::new("/srv/g"));
    assert_eq!(config.registry.registry_dir, Path::new("/srv/g/registry"));
    assert_eq!(
        config.store.filesystem_store_datadir,
        Path::new("/srv/g-img")
    );
    assert_eq!(config.log.log_dir, Some("/srv/g-img/l".into()));
    assert_eq!(config.log.log_format, "$5 $6 %(message)s");
}

#[test]
fn unknown_or_cyclic_references_prevent_a_start() {
    let nowhere = wrong("[DEFAULT]\ndata_dir = $nowhere/g\n");
    assert!(
        nowhere.starts_with("g.conf:2: [DEFAULT] data_dir = \"$nowhere/g\": expected"),
        "{nowhere}"
    );
    assert!(wrong("[DEFAULT]\ndata_dir = a$\n").contains("a plain dollar sign is $$"));
    assert!(wrong("[DEFAULT]\ndata_dir = ${data_dir\n").contains("a plain dollar sign is $$"));
    let circle = wrong("[DEFAULT]\ndata_dir = $registry_dir\nregistry_dir = $data_dir\n");
    assert!(circle.contains("refers to itself"), "{circle}");
}

#[test]
fn invalid_value_is_reported_with_file_line_key_and_expectation() {
    assert_eq!(
        wrong("[DEFAULT]\n\nbind_port = http\n"),
        "g.conf:3: [DEFAULT] bind_port = \"http\": expected a whole number from 1 to 65535"
    );
    assert_eq!(
        wrong("[DEFAULT]\ndefault_store = rbd\n"),
        "g.conf:2: [DEFAULT] default_store = \"rbd\": expected one of file, filesystem, http, s3, s3+http, s3+https, \
         swift, swift+http, swift+https"
    );
    assert_eq!(
        wrong("[DEFAULT]\ndebug = x\x1b[2J\n"),
        "g.conf:2: [DEFAULT] debug = \"x\\u{1b}[2J\": expected true or false"
    );
}

#[test]
fn last_value_counts_and_only_it_is_checked() {
    let (config, _) = sound("[DEFAULT]\nbind_port = x\nbind_port = 9000\n");
    assert_eq!(config.listen.bind_port, 9000);
    assert!(wrong("[DEFAULT]\nbind_port = 9000\nbind_port = x\n").starts_with("g.conf:3:"));
}

#[test]
fn conflicting_options_are_errors() {
    let same = wrong("[DEFAULT]\nadmin_bind_port = 9292\n");
    assert_eq!(
        same,
        "g.conf:2: [DEFAULT] admin_bind_port = \"9292\": expected a port other than bind_port"
    );
    let line = wrong("[DEFAULT]\nmax_header_size = 8192\nmax_header_line = 9000\n");
    assert!(
        line.starts_with("g.conf:3: [DEFAULT] max_header_line"),
        "{line}"
    );
    let stores = wrong("[glance_store]\nstores = s3,swift\n");
    assert!(
        stores.starts_with("g.conf:2: [glance_store] stores"),
        "{stores}"
    );
}

#[test]
fn risky_values_cause_warnings() {
    let (_, warnings) = sound(
        "[DEFAULT]\nbind_host = 0.0.0.0\nenable_v1_api = no\n[glance_store]\nstores = file,rbd\n\
         https_insecure = true\n",
    );
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(
        warnings[0].starts_with("g.conf:2: authentication is off"),
        "{warnings:?}"
    );
    assert!(warnings[1].starts_with("g.conf:3: no API"), "{warnings:?}");
    assert!(
        warnings[2].starts_with("g.conf:5: this release has no store rbd"),
        "{warnings:?}"
    );
    assert!(warnings[3].starts_with("g.conf:6: anyone"), "{warnings:?}");
}

#[test]
fn unknown_and_ignored_keys_have_different_warnings() {
    let (_, warnings) = sound(
        "[DEFAULT]\nbind_prot = 9292\nlock_path = 5\nswift_store_admin_tenants = x\n[mine]\na = 1\n\
         [keystone_authtoken]\nmemcached_servers = x\ncertfile = y\n[DEFAULT]\n",
    );
    assert_eq!(
        warnings,
        [
            "g.conf:2: [DEFAULT] bind_prot is not an option of this program and is ignored",
            "g.conf:3: [DEFAULT] lock_path has no effect in this release",
            "g.conf:4: [DEFAULT] swift_store_admin_tenants has no effect in this release",
            "g.conf:6: [mine] a is not an option of this program and is ignored",
            "g.conf:7: [keystone_authtoken] has options without effect in this release, memcached_servers among them",
        ]
    );
}

#[test]
fn default_store_must_be_in_use() {
    assert_eq!(
        wrong("[glance_store]\ndefault_store = s3\nstores = file,http\n"),
        "g.conf:2: [glance_store] default_store = \"s3\": expected one of stores, file,http"
    );
    assert_eq!(
        wrong("[glance_store]\nstores = http\n"),
        "g.conf:2: [glance_store] stores = \"http\": expected a list that contains file"
    );
    sound("[glance_store]\nstores = http\ndefault_store = http\n");
    let (unsaid, _) = sound(
        "[glance_store]\ndefault_store = s3\ns3_store_host = h\ns3_store_bucket = b\n\
         s3_store_access_key = a\ns3_store_secret_key = s\n",
    );
    assert_eq!(unsaid.store.stores, ["file", "http", "s3"]);
}

#[test]
fn source_filters_read_the_syntax_of_glance() {
    let (config, _) = sound("");
    let sources = &config.sources;
    assert_eq!(sources.allowed_schemes, ["http", "https"]);
    assert_eq!(sources.allowed_ports, [80, 443, 8080]);
    assert!(sources.allowed_hosts.is_empty() && !sources.allow_private_addresses);
    assert!(!config.http_store.https_insecure);
    let (config, warnings) = sound(
        "[import_filtering_opts]\nallowed_schemes = ['https']\nallowed_ports =\n\
         disallowed_ports = [22, 25]\ndisallowed_hosts = Evil.org\n",
    );
    assert_eq!(warnings, [""; 0]);
    let sources = &config.sources;
    assert_eq!(sources.allowed_schemes, ["https"]);
    assert!(sources.allowed_ports.is_empty());
    assert_eq!(sources.disallowed_ports, [22, 25]);
    assert_eq!(sources.disallowed_hosts, ["evil.org"]);
}

/// Names of options that are common in the files of operators.
#[test]
fn option_names_of_glance_are_never_unknown() {
    const NAMES: &str = "bind_host bind_port backlog workers tcp_keepidle client_socket_timeout http_keepalive \
        public_endpoint log_file log_dir debug registry_port data_api enable_v1_api enable_v2_api api_limit_max \
        limit_param_default image_size_cap user_storage_quota image_property_quota image_member_quota \
        image_tag_quota image_location_quota delayed_delete scrub_time scrub_pool_size wakeup_time \
        image_cache_dir image_cache_max_size image_cache_stall_time image_cache_driver show_image_direct_url \
        show_multiple_locations container_formats disk_formats hashing_algorithm node_staging_uri \
        enabled_import_methods worker_self_reference_url default_store use_stderr use_syslog transport_url \
        filesystem_store_datadir sql_idle_timeout log_config log_format log_date_format verbose";
    const STORE_NAMES: &str = "default_store stores filesystem_store_datadir filesystem_store_file_perm \
        filesystem_store_chunk_size filesystem_thin_provisioning s3_store_host s3_store_access_key \
        s3_store_secret_key s3_store_bucket s3_store_region_name s3_store_create_bucket_on_put \
        s3_store_bucket_url_format s3_store_large_object_size s3_store_large_object_chunk_size \
        s3_store_thread_pools s3_store_cacert swift_store_user swift_store_key https_ca_certificates_file \
        http_proxy_information";
    let known = |section: &str, names: &str| {
        for name in names.split_whitespace() {
            // The value is empty, so only the name is checked.
            match Config::from_text("g.conf", &format!("[{section}]\n{name} =\n")) {
                Ok((_, warnings)) => {
                    assert!(
                        !warnings.iter().any(|w| w.message.contains("not an option")),
                        "{name}: {warnings:?}"
                    );
                }
                Err(ConfigError::BadValue { option, .. }) => {
                    assert_eq!(option, format!("[{section}] {name}"));
                }
                Err(other) => panic!("{name}: {other}"),
            }
        }
    };
    known("DEFAULT", NAMES);
    known("glance_store", STORE_NAMES);
    known(
        "import_filtering_opts",
        "allowed_schemes disallowed_hosts allowed_ports",
    );
}

#[test]
fn options_that_must_not_be_ignored_prevent_a_start() {
    for (section, line) in [
        ("DEFAULT", "cert_file = /c.pem"),
        ("DEFAULT", "key-file = /k.pem"),
        ("app:glance-api", "ca_file = /ca.pem"),
        (
            "pipeline:glance-api",
            "pipeline = versionnegotiation authtoken auth-context apiv1app",
        ),
        ("DEFAULT", "data_api = glance.db.registry.api"),
        (
            "DEFAULT",
            "sql_connection = mysql://glance:s3cret@db/glance",
        ),
        ("database", "connection = mysql://glance:s3cret@db/glance"),
        ("glance_store", "filesystem_store_datadirs = /a:1"),
        ("DEFAULT", "enabled_backends = fast:file"),
        ("DEFAULT", "policy_dirs = /etc/glance/policy.d"),
        ("oslo_policy", "policy_dirs = policy.d"),
        ("DEFAULT", "use_keystone_limits = True"),
        ("DEFAULT", "metadata_encryption_key = s3cret"),
    ] {
        let message = wrong(&format!("[{section}]\n{line}\n"));
        assert!(message.starts_with("g.conf:2: ["), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn harmless_values_of_unsupported_options_are_ignored() {
    for (section, line) in [
        ("DEFAULT", "cert_file ="),
        (
            "pipeline:glance-api",
            "pipeline = versionnegotiation unauthenticated-context rootapp",
        ),
        ("DEFAULT", "data_api = glance.db.sqlalchemy.api"),
        ("DEFAULT", "use_keystone_limits = false"),
    ] {
        let (_, warnings) = sound(&format!("[{section}]\n{line}\n"));
        let is_ignored = |warning: &String| warning.contains("effect in this release");
        assert!(warnings.iter().all(is_ignored), "{warnings:?}");
    }
}

#[test]
fn line_that_is_not_ini_is_reported() {
    assert_eq!(
        wrong("[DEFAULT]\nnonsense\n"),
        "g.conf:2: this line is neither a [section] nor key = value"
    );
}

#[test]
fn unreadable_files_are_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = Config::load(&folder.path().join("none.conf")).expect_err("missing");
    assert_eq!(missing.exit_code(), 1);
    assert!(missing.to_string().contains("none.conf"), "{missing}");
    Config::load(folder.path()).expect_err("a folder is no file");

    let binary = folder.path().join("binary.conf");
    std::fs::write(&binary, [0xff, 0xfe, 0]).expect("written");
    Config::load(&binary).expect_err("no UTF-8");
    let endless = Config::load(Path::new("/dev/zero")).expect_err("endless");
    assert!(endless.to_string().contains("more than"), "{endless}");
}

proptest::proptest! {
    /// Any text is read or rejected; it never causes a panic.
    #[test]
    fn no_text_makes_the_reader_panic(
        text in "(\\[(DEFAULT|glance_store|x)\\]\n)?((data_dir|log_format|workers|é)[ =:]{1,3}[\\PC$\\\\{}.\n \t]{0,20}\n){0,6}",
    ) {
        let _ = Config::from_text("g.conf", &text);
    }
}
