//! Reloads of registry servers, and of API servers with a registry server or etcd. Clients of the
//! image API must not notice them.

use std::process::Command;
use std::thread;
use std::time::Duration;

use super::half_an_upload;
use crate::support::server::{Server, Setup};
use crate::support::traffic::{Load, Traffic};

/// Time for requests in progress to end.
const LIMIT: Duration = Duration::from_secs(60);
const ROUNDS: usize = 3;
/// Interval between two reloads.
const PAUSE: Duration = Duration::from_millis(400);

/// Reloads as an operator without a service manager does.
fn control_reload(server: &mut Server, name: &str) {
    let pid = server.pid();
    let output = Command::new(env!("CARGO_BIN_EXE_glance-control"))
        .args([name, "reload"])
        .arg(server.config_file())
        .arg("--pid-file")
        .arg(server.pid_file())
        .output()
        .expect("glance-control");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let wanted = format!("Reloading glance-{name}  pid: {pid}  signal: 1");
    assert!(said.contains(&wanted), "{said}");
    server.follow();
}

/// Raises timeouts, because the test machine may be slow. Only the reload must not fail a request.
fn patient(setup: Setup) -> Setup {
    setup.option("registry_client_timeout", 60)
}

/// Amount of data that programs without optimisation can transfer in time.
const LOAD: Load = Load {
    requests_per_s: 200,
    askers: 4,
    downloads: 6,
    uploads: 2,
};

/// Reloads repeatedly while an API server has traffic: the registry server if there is one,
/// otherwise the API server itself.
fn reload_under_traffic(node: &mut Server, mut registry: Option<&mut Server>) {
    let traffic = Traffic::at(node);
    traffic.during(&LOAD, || {
        for round in 0..ROUNDS {
            thread::sleep(PAUSE);
            traffic.take_longest();
            let id = node.create(&[]);
            let (server, name) = match &mut registry {
                Some(registry) => (&mut **registry, "registry"),
                None => (&mut *node, "api"),
            };
            match round % 2 {
                0 => control_reload(server, name),
                _ => server.reload(),
            }
            assert_eq!(node.status_of(&id), "queued", "its own write");
            thread::sleep(PAUSE);
            let longest = traffic.take_longest();
            eprintln!("reload {round}: slowest request {longest:?}");
        }
    });
    traffic.expect_no_failure();
    if registry.is_none() {
        // Idle connections of an API server keep a registry server running for a minute.
        node.await_retired(LIMIT);
    }
    assert_eq!(node.status_of(traffic.id()), "active");
}

#[test]
fn reload_of_the_registry_server_fails_no_request() {
    let mut registry = Setup::registry().with_pid_file().start();
    let mut node = patient(Setup::new().registry_at(registry.address())).start();
    reload_under_traffic(&mut node, Some(&mut registry));
}

#[test]
fn reload_of_a_server_with_a_registry_server_fails_no_request() {
    let registry = Setup::registry().start();
    let setup = patient(Setup::new().registry_at(registry.address()));
    let mut node = setup.with_pid_file().start();
    reload_under_traffic(&mut node, None);
}

#[cfg(feature = "etcd")]
#[test]
fn reload_of_a_server_with_etcd_fails_no_request() {
    let etcd = crate::support::etcd::Etcd::start(1);
    let mut node = patient(Setup::new().etcd(&etcd)).with_pid_file().start();
    reload_under_traffic(&mut node, None);
}

#[cfg(feature = "etcd")]
#[test]
fn reload_of_a_registry_server_on_etcd_fails_no_request() {
    let etcd = crate::support::etcd::Etcd::start(1);
    let mut registry = patient(Setup::registry().etcd(&etcd))
        .with_pid_file()
        .start();
    let mut node = patient(Setup::new().registry_at(registry.address())).start();
    reload_under_traffic(&mut node, Some(&mut registry));
}

/// The new process cleans up after the old one when that one ends. It must leave the uploads of API
/// servers alone, which the records of a registry server contain.
#[test]
fn upload_survives_a_reload_of_the_registry_server() {
    let setup = Setup::registry().option("reload_timeout", 1);
    let mut registry = setup.with_pid_file().start();
    let node = patient(Setup::new().registry_at(registry.address())).start();
    let (id, mut upload) = half_an_upload(&node, &node);
    for _ in 0..2 {
        registry.reload();
        registry.await_retired(LIMIT);
        registry.expect_log("the previous process has ended");
        assert_eq!(node.status_of(&id), "saving");
    }
    upload.send_bytes(b"half").expect("half");
    upload.read_response("PUT").expect("an answer").expect(200);
    assert_eq!(node.download(&id).expect(200).body, b"halfhalf");
}
