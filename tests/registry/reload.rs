//! Reload where records are elsewhere: of the registry server, and of API servers that ask one
//! or etcd. Nobody who uses the image API notices.

use std::process::Command;
use std::thread;
use std::time::Duration;

use super::half_an_upload;
use crate::support::server::{Server, Setup};
use crate::support::traffic::{Load, Traffic};

/// For what is in flight to come to its end.
const LIMIT: Duration = Duration::from_secs(60);
const ROUNDS: usize = 3;
/// Between two reloads.
const PAUSE: Duration = Duration::from_millis(400);

/// As an operator without a service manager does.
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

/// Whoever is slow here is the machine: it is a reload that is not to cost a request.
fn patient(setup: Setup) -> Setup {
    setup.option("registry_client_timeout", 60)
}

/// Little enough for programs that are not optimised.
const LOAD: Load = Load {
    requests_per_s: 200,
    askers: 4,
    downloads: 6,
    uploads: 2,
};

/// Reloads again and again under traffic at an API server: the registry server behind it, or
/// the API server itself where there is none.
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
        // Connections of an API server at rest keep a registry server for a minute.
        node.await_retired(LIMIT);
    }
    assert_eq!(node.status_of(traffic.id()), "active");
}

#[test]
fn nobody_notices_a_reload_of_the_registry_server() {
    let mut registry = Setup::registry().with_pid_file().start();
    let mut node = patient(Setup::new().registry_at(registry.address())).start();
    reload_under_traffic(&mut node, Some(&mut registry));
}

#[test]
fn a_server_on_a_registry_server_reloads() {
    let registry = Setup::registry().start();
    let setup = patient(Setup::new().registry_at(registry.address()));
    let mut node = setup.with_pid_file().start();
    reload_under_traffic(&mut node, None);
}

#[cfg(feature = "etcd")]
#[test]
fn a_server_on_etcd_reloads() {
    let etcd = crate::support::etcd::Etcd::start(1);
    let mut node = patient(Setup::new().etcd(&etcd)).with_pid_file().start();
    reload_under_traffic(&mut node, None);
}

#[cfg(feature = "etcd")]
#[test]
fn nobody_notices_a_reload_of_a_registry_server_on_etcd() {
    let etcd = crate::support::etcd::Etcd::start(1);
    let mut registry = patient(Setup::registry().etcd(&etcd))
        .with_pid_file()
        .start();
    let mut node = patient(Setup::new().registry_at(registry.address())).start();
    reload_under_traffic(&mut node, Some(&mut registry));
}

/// The new process looks after what the old one has left, when that one ends. The uploads that
/// the records of a registry server tell of are those of API servers.
#[test]
fn an_upload_outlives_the_old_process_of_the_registry_server() {
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
