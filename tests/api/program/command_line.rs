//! Command line and configuration, with the exit codes of each.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::server::{GLANCE_API, Server, Setup};
use crate::support::{eventually, pattern};

/// Runs the program in a folder that isolates it from other configuration files.
fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(GLANCE_API)
        .args(words)
        .current_dir(folder)
        .env("HOME", folder.join("home"))
        .output()
        .expect("the server's program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs it with this configuration and returns its exit code and output.
fn run_with(config: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("g.conf"), config).unwrap();
    let output = run(folder.path(), &["g.conf"]);
    (output.status.code(), text(&output.stderr))
}

#[test]
fn print_config_is_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["--print-config"]);
    assert_eq!(output.status.code(), Some(0));
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/glance.conf.sample");
    assert!(
        output.stdout == fs::read(sample).unwrap(),
        "write it anew with --print-config"
    );
    assert!(
        fs::read_dir(folder.path()).unwrap().next().is_none(),
        "nothing was made"
    );
}

#[test]
fn sample_is_a_valid_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/glance.conf.sample");
    let output = run(folder.path(), &["--check-config", sample]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn missing_configuration_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let said =
        "ERROR: Unable to locate any configuration file. Cannot load application glance-api\n";
    assert_eq!(text(&output.stderr), said);
}

#[test]
fn configuration_is_found_on_the_search_path() {
    // Each file has a different error, so the message shows which one was read.
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir_all(home.join(".glance")).unwrap();
    let places = [
        home.join("glance.conf"),
        home.join("glance-api.conf"),
        home.join(".glance/glance.conf"),
        folder.path().join("glance.conf"),
        folder.path().join("glance-api.conf"),
    ];
    for place in places {
        fs::write(&place, "[DEFAULT]\nworkers = many\n").unwrap();
        let output = run(folder.path(), &[]);
        assert_eq!(output.status.code(), Some(78));
        let name = place
            .strip_prefix(folder.path())
            .unwrap()
            .display()
            .to_string();
        assert!(
            text(&output.stderr).contains(&name),
            "{name}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn named_configuration_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["no-such.conf"][..], &["--config-file", "no-such.conf"]] {
        let output = run(folder.path(), words);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("no-such.conf"));
    }
}

#[test]
fn invalid_value_names_file_line_key_and_expectation() {
    for (config, words) in [
        (
            "[DEFAULT]\n\nbind_port = 99999\n",
            ["g.conf:3", "bind_port", "99999", "1 to 65535"],
        ),
        (
            "[DEFAULT]\nworkers = many\n",
            ["g.conf:2", "workers", "many", "whole number"],
        ),
        (
            "[DEFAULT]\ndebug = perhaps\n",
            ["g.conf:2", "debug", "perhaps", "true or false"],
        ),
        (
            "[DEFAULT]\nio_backend = magic\n",
            ["g.conf:2", "io_backend", "magic", "uring"],
        ),
        (
            "[glance_store]\ndefault_store = rbd\n",
            ["g.conf:2", "default_store", "rbd", "file"],
        ),
    ] {
        let (code, said) = run_with(config);
        assert_eq!(code, Some(78), "{said}");
        for word in words {
            assert!(said.contains(word), "{word} is not in {said}");
        }
    }
}

/// One run reports every problem of the configuration, the policy and the log configuration.
#[test]
fn check_config_reports_every_error() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put(
        "g.conf",
        "[DEFAULT]\nworkers = many\nbind_port = 0\npolicy_file = policy.json\n\
         log_config_append = log.conf\nproperty_protection_file = p.conf\n",
    );
    put(
        "policy.json",
        r#"{"get_image": "role:", "add_image": "nonsense", "delete_image": "'x':%(tags)s"}"#,
    );
    put("p.conf", "[.*]\nread = @\n");
    put("log.conf", "[loggers]\nkeys = root\n");
    let output = run(folder.path(), &["--check-config", "g.conf"]);
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    for words in [
        "g.conf:2: [DEFAULT] workers",
        "g.conf:3: [DEFAULT] bind_port",
        "rule \"add_image\"",
        "rule \"delete_image\"",
        "property_protection_file p.conf: line",
        "log.conf: [handlers]: keys are missing",
    ] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    // A start reports each of them once, too.
    let (code, said) = run_with("[DEFAULT]\nworkers = many\nbind_port = 0\n");
    assert_eq!((code, said.lines().count()), (Some(78), 2), "{said}");
}

/// On a terminal, standard output and standard error are the same.
#[test]
fn start_error_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a file"), "").unwrap();
    fs::write(
        folder.path().join("g.conf"),
        format!("[DEFAULT]\ndata_dir = {}/a file\n", folder.path().display()),
    )
    .unwrap();
    let both = fs::File::create(folder.path().join("both")).unwrap();
    let status = Command::new(GLANCE_API)
        .arg("g.conf")
        .current_dir(folder.path())
        .stdout(both.try_clone().unwrap())
        .stderr(both)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    let said = fs::read_to_string(folder.path().join("both")).unwrap();
    assert_eq!(said.matches("cannot start").count(), 1, "{said}");
    assert!(!said.contains("ERROR: ERROR"), "{said}");
    // If they differ, both get the error.
    let output = run(folder.path(), &["g.conf"]);
    assert!(text(&output.stdout).contains("cannot start"));
    assert!(text(&output.stderr).contains("ERROR: cannot start"));
}

#[test]
fn malformed_line_is_named() {
    let (code, said) = run_with("[DEFAULT]\nworkers = 1\nwhat is this\n");
    assert_eq!(code, Some(78));
    assert!(said.contains("g.conf:3"), "{said}");
}

#[test]
fn unknown_key_is_a_warning_with_its_line() {
    let server = Setup::new().option("zzz_unknown_option", 1).start();
    let config = fs::read_to_string(server.config_file()).unwrap();
    let line = config
        .lines()
        .position(|line| line.contains("zzz_unknown_option"))
        .unwrap()
        + 1;
    let warning = eventually("the warning is logged", || {
        let log = server.log();
        let mut lines = log.lines();
        let warning = lines.find(|line| line.contains("zzz_unknown_option"));
        warning.map(str::to_owned)
    });
    assert!(
        warning.contains(&format!("glance-api.conf:{line}")),
        "{warning}"
    );
    assert!(warning.contains("WARNING"), "{warning}");
}

#[test]
fn wrong_command_line_exits_with_64() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["--no-such"][..], &["a.conf", "b.conf"]] {
        assert_eq!(run(folder.path(), words).status.code(), Some(64));
    }
}

#[test]
fn help_and_version() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for word in [
        "--config-file",
        "--print-config",
        "--log-date-format",
        "Exit codes",
    ] {
        assert!(text(&help.stdout).contains(word), "{word}");
    }
    let version = run(folder.path(), &["--version"]);
    assert!(text(&version.stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn port_in_use_prevents_the_start() {
    let server = Server::shared();
    for (api, admin) in [
        (server.address().port(), crate::support::ports::free_port()),
        (
            crate::support::ports::free_port(),
            server.admin_address().port(),
        ),
    ] {
        let config =
            format!("[DEFAULT]\nbind_port = {api}\nadmin_bind_port = {admin}\ndata_dir = d\n");
        let (code, said) = run_with(&config);
        assert_eq!(code, Some(1), "{said}");
        let taken = if api == server.address().port() {
            api
        } else {
            admin
        };
        assert!(said.contains(&format!("127.0.0.1:{taken}")), "{said}");
    }
}

#[test]
fn registry_in_use_prevents_the_start() {
    let server = Server::shared();
    let config = format!(
        "[DEFAULT]\nbind_port = {}\nadmin_bind_port = 0\ndata_dir = {}\n",
        crate::support::ports::free_port(),
        server.data_dir().display()
    );
    let (code, said) = run_with(&config);
    assert_eq!(code, Some(1), "{said}");
    let registry = server.data_dir().join("registry");
    assert!(said.contains(&registry.display().to_string()), "{said}");
}

#[test]
fn start_logs_address_folders_and_io_backend() {
    let server = Setup::new().option("io_backend", "threads").start();
    let words = [
        format!("http://{}", server.address()),
        format!("http://{}/metrics", server.admin_address()),
        server.store_dir().display().to_string(),
        server.data_dir().join("registry").display().to_string(),
        "engine=threads".to_owned(),
    ];
    eventually("it says so", || {
        let log = server.log();
        words.iter().all(|word| log.contains(word)).then_some(())
    });
    let id = server.upload(&[], &pattern(1_000_000, 1));
    assert!(server.download(&id).expect(200).body == pattern(1_000_000, 1));
}

#[test]
fn log_file_receives_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new().option("log_dir", folder.path().display());
    let server = setup.argument("--log-file=api.log").start();
    server.create(&[]);
    let read = || fs::read_to_string(folder.path().join("api.log")).unwrap_or_default();
    eventually("the access line is in the file", || {
        read().contains("POST /v1/images").then_some(())
    });
    assert!(
        !server.log().contains("POST /v1/images"),
        "{}",
        server.log()
    );
}
