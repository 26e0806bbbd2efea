//! Processes that never outlive the test process.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A process with a guard, which kills it when the test process ends, however that ends.
#[derive(Debug)]
pub struct Guarded {
    handle: Handle,
    guard: Child,
}

/// A process that we started, or one that somebody else did.
#[derive(Debug)]
enum Handle {
    Child(Child),
    Other(u32),
}

impl Guarded {
    /// A child of ours. Its folder, if it has one, is removed when the guard has to act.
    pub fn child(child: Child, folder: Option<&Path>) -> Self {
        Self {
            guard: guard(child.id(), folder),
            handle: Handle::Child(child),
        }
    }

    /// Somebody else's child.
    pub fn other(pid: u32, folder: Option<&Path>) -> Self {
        Self {
            guard: guard(pid, folder),
            handle: Handle::Other(pid),
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        match &self.handle {
            Handle::Child(child) => child.id(),
            Handle::Other(pid) => *pid,
        }
    }

    /// Sends it a signal by name, such as `HUP`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// How it has ended, if it has; nobody knows the code of one that is not our child.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        let status = match &mut self.handle {
            Handle::Child(child) => child.try_wait().expect("a child of ours"),
            Handle::Other(pid) => (!is_alive(*pid)).then(|| ExitStatus::from_raw(0)),
        };
        if status.is_some() {
            self.guard_off();
        }
        status
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        self.guard_off();
        match &mut self.handle {
            Handle::Child(child) => {
                // Fails only when it has ended by itself.
                let _ = child.kill();
                let _ = child.wait();
            }
            Handle::Other(pid) if is_alive(*pid) => {
                signal(*pid, "KILL");
                while is_alive(*pid) {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            Handle::Other(_) => {}
        }
    }

    /// The guard must be gone before the process id can be anybody else's.
    fn guard_off(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// Whether a process has not ended; a zombie has.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Waits at a pipe that closes when the test process ends, however it ends.
/// Kills a process then, and removes its folder.
fn guard(process: u32, folder: Option<&Path>) -> Child {
    const SCRIPT: &str = r#"trap '' INT TERM; read -r _; kill -KILL "$1"; sleep 0.2; test -z "$2" || rm -rf -- "$2""#;
    Command::new("sh")
        .args(["-c", SCRIPT, "guard", &process.to_string()])
        .arg(folder.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh")
}

/// Through the shell's own kill, so that no unsafe call is needed here.
#[track_caller]
fn signal(pid: u32, name: &str) {
    let script = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &script]).status();
    assert!(status.expect("sh").success(), "{script}");
}
