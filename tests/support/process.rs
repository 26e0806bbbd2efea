//! What the kernel knows about a server's process.

use std::fs;
use std::time::Duration;

/// Memory in RAM, in bytes; `None` when the process is gone.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Processor time used so far.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in brackets and may hold anything.
    let fields = stat.rsplit_once(')')?.1;
    let ticks = |place: usize| fields.split_whitespace().nth(place)?.parse::<u64>().ok();
    // SAFETY: asks for a number.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let seconds = (ticks(11)? + ticks(12)?) as f64 / per_second as f64;
    Some(Duration::from_secs_f64(seconds))
}

/// Open descriptors.
pub fn open_fds(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Whether this process is root.
pub fn is_root() -> bool {
    // SAFETY: asks for a number.
    unsafe { libc::geteuid() == 0 }
}
