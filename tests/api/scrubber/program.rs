//! `glance-scrubber`, with and without a running server.

use std::time::Duration;

use super::{await_empty, delaying, pending};
use crate::support::scrubber::{command, run};
use crate::support::server::Server;
use crate::support::{PATIENCE, eventually, within};

#[test]
fn scrubber_program_asks_a_running_server() {
    let server = delaying().start();
    let ids = [pending(&server), pending(&server), pending(&server)];
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.stored_files().len(), 3, "nobody has asked");
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 3, failed: 0, waiting: 0");
    assert!(server.stored_files().is_empty(), "it waits for the end");
    for id in &ids {
        assert_eq!(server.status_of(id), "deleted");
    }
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 0, failed: 0, waiting: 0");
}

#[test]
fn scrubber_program_works_without_a_server() {
    let mut server = delaying().start();
    let kept = server.upload(&[], b"kept");
    let id = pending(&server);
    server.stop();
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 1, failed: 0, waiting: 0");
    assert_eq!(server.stored_files().len(), 1);
    server.start();
    assert_eq!(server.status_of(&id), "deleted");
    assert_eq!(server.download(&kept).expect(200).body, b"kept");
}

#[test]
fn scrub_time_applies_with_and_without_a_server() {
    let mut server = delaying().option("scrub_time", 3600).start();
    let id = pending(&server);
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 0, failed: 0, waiting: 1");
    server.stop();
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 0, failed: 0, waiting: 1");
    server.start();
    assert_eq!(server.status_of(&id), "pending_delete");
    assert_eq!(server.stored_files().len(), 1);
}

#[test]
fn scrubber_program_creates_no_registry() {
    let server = delaying().prepare();
    let config = format!("[DEFAULT]\ndata_dir = {}\n", server.data_dir().display());
    std::fs::write(server.config_file(), config).unwrap();
    run(&server, &[]).expect(1).says("no registry found in");
    assert!(!server.data_dir().exists());
}

#[test]
fn server_without_an_admin_listener_is_reported() {
    let server = delaying().option("admin_bind_port", 0).start();
    let id = pending(&server);
    run(&server, &[]).expect(1).says("admin_bind_port is 0");
    assert_eq!(server.status_of(&id), "pending_delete");
}

#[test]
fn conflicting_arguments_are_refused() {
    let id = "71c675ab-d94f-49cd-a114-e12490b328d9";
    let server = delaying().option("daemon", true).start();
    run(&server, &["--restore", id])
        .expect(1)
        .says("daemon conflicts with --restore");
    run(&server, &["--restore", id, "-D"]).expect(64);
    run(&server, &["--restore", "no-id"]).expect(64);
}

/// A daemon that is stopped with its test.
struct Daemon(std::process::Child);

impl Daemon {
    fn start(server: &Server) -> Self {
        let words = ["-D", "-t", "1"];
        let child = command(server, &words)
            .stdout(std::process::Stdio::null())
            .spawn();
        Self(child.expect("the scrubber's program"))
    }

    fn terminate(&mut self) -> Option<i32> {
        let kill = format!("kill -TERM {}", self.0.id());
        std::process::Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap();
        let mut code = None;
        within(PATIENCE, "it ends", || {
            code = self.0.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn daemon_retries_and_never_blocks_a_server_start() {
    let mut server = delaying().start();
    let mut daemon = Daemon::start(&server);
    pending(&server);
    await_empty(&server);
    for _ in 0..3 {
        server.stop();
        std::thread::sleep(Duration::from_millis(700));
        server.start();
    }
    pending(&server);
    await_empty(&server);
    assert_eq!(daemon.terminate(), Some(0));
    pending(&server);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(server.stored_files().len(), 1);
}

#[test]
fn one_pass_removes_many_images_concurrently() {
    let server = delaying().option("scrub_pool_size", 8).start();
    let ids: Vec<_> = (0..40).map(|_| pending(&server)).collect();
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 40, failed: 0, waiting: 0");
    assert!(ids.iter().all(|id| server.status_of(id) == "deleted"));
    eventually("nothing", || server.stored_files().is_empty().then_some(()));
}
