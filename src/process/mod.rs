//! Processes of this machine: whether one runs, its pid file, and its descriptor limit.
//!
//! The servers use it for themselves and `glance-control` for the servers that it manages.

mod pid_file;
mod rlimit;

use std::fs;

pub use self::pid_file::{PidFile, PidFileStatus};
pub use self::rlimit::{descriptor_limit, raise_descriptors, raise_descriptors_to};

/// Longest name of a process that the kernel stores (`TASK_COMM_LEN` without the final zero byte).
const MAX_NAME_BYTES: usize = 15;

/// Returns true if the process runs and has this name. The name matters because the id of a
/// process that has ended may belong to another one by now. A zombie does not run.
pub fn is_running(pid: u32, name: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // `pid (name) state ...`, and the name may contain parentheses (proc_pid_stat(5)).
    let Some((before, after)) = stat.rsplit_once(") ") else {
        return false;
    };
    let stored = before.split_once('(').map_or("", |(_, stored)| stored);
    let name = name.get(..MAX_NAME_BYTES).unwrap_or(name);
    stored == name && !after.starts_with(['Z', 'X'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_runs_under_its_own_name_until_it_is_a_zombie() {
        let mut sleep = std::process::Command::new("sleep");
        let mut child = sleep.arg("60").spawn().unwrap();
        let pid = child.id();
        assert!(is_running(pid, "sleep"));
        assert!(!is_running(pid, "glance-api"));
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while is_running(pid, "sleep") {
            assert!(
                std::time::Instant::now() < deadline,
                "a zombie does not run"
            );
        }
        child.wait().unwrap();
        assert!(!is_running(pid, "sleep"));
    }
}
