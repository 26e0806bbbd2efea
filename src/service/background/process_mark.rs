//! Marks that identify the process of an upload.
//!
//! A start reads the mark in an upload's record to tell an ended process from one that still runs
//! under the same `node_name`.

use std::fs;
use std::sync::OnceLock;

/// The state of the process that began an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::service) enum ProcessState {
    /// It runs on this machine.
    Running,
    /// It has ended.
    Ended,
    /// It ran on another machine, in another PID namespace, or its record does not name it.
    Unknown,
}

/// Returns the mark of this process: `<boot id>/<PID namespace>/<PID>/<start time>`. The start
/// time, in clock ticks since boot (proc_pid_stat(5), field 22), distinguishes processes that had
/// the same PID. Returns `None` without a /proc.
pub(in crate::service) fn current_process_mark() -> Option<String> {
    static MARK: OnceLock<Option<String>> = OnceLock::new();
    MARK.get_or_init(|| {
        let pid_scope = pid_scope()?;
        let pid = std::process::id();
        let started_ticks = started_ticks(pid)?;
        Some(format!("{pid_scope}/{pid}/{started_ticks}"))
    })
    .clone()
}

/// Returns the state of the process with this mark.
pub(in crate::service) fn process_state(mark: Option<&str>) -> ProcessState {
    let Some(mark) = mark else {
        return ProcessState::Unknown;
    };
    let mut parts = mark.rsplitn(3, '/');
    let (started, pid, mark_scope) = (parts.next(), parts.next(), parts.next());
    if mark_scope.is_none() || pid_scope().as_deref() != mark_scope {
        return ProcessState::Unknown;
    }
    let pid = pid.and_then(|pid| pid.parse().ok());
    let started = started.and_then(|started| started.parse().ok());
    match (pid, started) {
        (Some(pid), Some(started)) if started_ticks(pid) == Some(started) => ProcessState::Running,
        (Some(_), Some(_)) => ProcessState::Ended,
        _ => ProcessState::Unknown,
    }
}

/// Returns the scope in which a PID is unique: one boot of one kernel and one PID namespace.
fn pid_scope() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.to_str()?))
}

fn started_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses, which may contain spaces and parentheses.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    // A zombie or dead process no longer runs, although /proc still lists it.
    if matches!(state, "Z" | "X") {
        return None;
    }
    // The state is field 3, the start time field 22.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_tells_running_from_ended_process() {
        let own = current_process_mark().expect("a /proc");
        assert_eq!(process_state(Some(&own)), ProcessState::Running);
        let other_start = format!("{own}1");
        assert_eq!(process_state(Some(&other_start)), ProcessState::Ended);
        let elsewhere = format!("x{own}");
        assert_eq!(process_state(Some(&elsewhere)), ProcessState::Unknown);
        for mark in [None, Some(""), Some("a/b"), Some("////")] {
            assert_eq!(process_state(mark), ProcessState::Unknown, "{mark:?}");
        }
    }

    #[test]
    fn ended_child_is_not_running() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep");
        let started = started_ticks(child.id()).expect("it runs");
        let mark = format!("{}/{}/{started}", pid_scope().expect("a /proc"), child.id());
        assert_eq!(process_state(Some(&mark)), ProcessState::Running);
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert_eq!(process_state(Some(&mark)), ProcessState::Ended);
    }
}
