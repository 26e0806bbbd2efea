//! Child processes that never outlive the test process.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A process with a guard, which kills it when the test process ends, for whatever reason.
#[derive(Debug)]
pub struct Guarded {
    handle: Handle,
    guard: Child,
}

/// A child of the test, or a process that another one started.
#[derive(Debug)]
enum Handle {
    Child(Child),
    Other(u32),
}

impl Guarded {
    /// Wraps a child of the test. The guard removes its folder, if it has one, when it kills the
    /// child.
    pub fn child(child: Child, folder: Option<&Path>) -> Self {
        Self {
            guard: guard(child.id(), folder),
            handle: Handle::Child(child),
        }
    }

    /// Wraps a process that another one started.
    pub fn other(pid: u32, folder: Option<&Path>) -> Self {
        Self {
            guard: guard(pid, folder),
            handle: Handle::Other(pid),
        }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        match &self.handle {
            Handle::Child(child) => child.id(),
            Handle::Other(pid) => *pid,
        }
    }

    /// Sends a signal by name, such as `HUP`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Returns the exit status if the process has ended; it is unknown for a process that is not a
    /// child.
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

    /// Kills the process (SIGKILL) and waits until it has ended.
    pub fn kill(&mut self) {
        self.guard_off();
        match &mut self.handle {
            Handle::Child(child) => {
                // Fails only if the process has already ended.
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

    /// The guard must end before the system can assign the process id to another process.
    fn guard_off(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// Returns true if a process runs; a zombie has ended.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Waits for the end of a pipe, which the system closes when the test process ends. Then kills a
/// process and removes its folder.
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

/// Uses the shell's kill, which needs no unsafe code.
#[track_caller]
fn signal(pid: u32, name: &str) {
    let script = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &script]).status();
    assert!(status.expect("sh").success(), "{script}");
}
