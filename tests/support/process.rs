//! Reads and controls a server's process through the kernel: memory, CPU time, descriptors,
//! threads.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

/// Returns the resident memory in bytes; `None` if the process has ended.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmRSS:")
}

/// Returns the peak resident memory in bytes.
pub fn peak_rss_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmHWM:")
}

fn memory_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Returns the CPU time used so far.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in parentheses and may contain any character.
    let fields = stat.rsplit_once(')')?.1;
    let ticks = |place: usize| fields.split_whitespace().nth(place)?.parse::<u64>().ok();
    // SAFETY: the call has no preconditions.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let seconds = (ticks(11)? + ticks(12)?) as f64 / per_second as f64;
    Some(Duration::from_secs_f64(seconds))
}

/// Waits until the process is idle: it has used almost no CPU time for a second. A process that
/// still has work, such as filling the socket buffers of its readers from a slow file system, gets
/// half a minute to finish; one that polls without need never becomes idle.
#[track_caller]
pub fn assert_idle(pid: u32) {
    const MOST: Duration = Duration::from_millis(150);
    const SECONDS: u32 = 30;
    let mut used = Duration::MAX;
    for _ in 0..SECONDS {
        let before = cpu_time(pid).expect("running");
        std::thread::sleep(Duration::from_secs(1));
        used = cpu_time(pid).expect("running") - before;
        if used < MOST {
            return;
        }
    }
    panic!("busy for {SECONDS} s: {used:?} in the last second");
}

/// Returns the number of open descriptors.
pub fn open_fds(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Raises the limit of open descriptors of this process; returns false if the system refuses.
pub fn allow_fds(count: u64) -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a valid pointer to a struct of the right type.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }.into())?;
    limit.rlim_cur = limit.rlim_cur.max(count);
    // SAFETY: see above.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }.into())
}

/// Returns true if this process runs as root.
pub fn is_root() -> bool {
    // SAFETY: the call has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// A stopped thread of another process, which continues when this is dropped. Use it only on the
/// thread that created it, because ptrace(2) binds to a thread.
pub struct StoppedThread {
    tid: libc::pid_t,
    _only_here: PhantomData<*const ()>,
}

impl StoppedThread {
    /// Stops the thread with this name.
    ///
    /// # Errors
    /// Returns an error if there is none, or if this system does not permit it.
    pub fn of(pid: u32, name: &str) -> io::Result<Self> {
        let tid = thread_named(pid, name)?;
        let no_address = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: attaching to a thread by its id; the addresses are not used.
        check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, no_address, no_address) })?;
        let stopped = Self {
            tid,
            _only_here: PhantomData,
        };
        // SAFETY: see above.
        check(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, no_address, no_address) })?;
        let mut status = 0;
        // SAFETY: a valid pointer to a status; __WALL waits for threads too.
        check(unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) }.into())?;
        Ok(stopped)
    }
}

impl Drop for StoppedThread {
    fn drop(&mut self) {
        let no_address = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: detaches from a thread to which we are attached. It fails only if the thread has
        // ended.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.tid, no_address, no_address) };
    }
}

fn thread_named(pid: u32, name: &str) -> io::Result<libc::pid_t> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        if fs::read_to_string(task.path().join("comm"))?.trim_end() == name {
            let tid = task.file_name().to_string_lossy().parse();
            return tid.map_err(io::Error::other);
        }
    }
    Err(io::Error::other(format!("no thread {name}")))
}

fn check(result: libc::c_long) -> io::Result<()> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
