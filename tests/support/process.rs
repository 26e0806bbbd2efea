//! What the kernel knows about a server's process.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

/// Memory in RAM, in bytes; `None` when the process is gone.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmRSS:")
}

/// The most memory it has had in RAM at any time, in bytes.
pub fn peak_rss_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmHWM:")
}

fn memory_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
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

/// A process that only waits: it has used next to nothing of a processor for a second.
#[track_caller]
pub fn assert_idle(pid: u32) {
    const MOST: Duration = Duration::from_millis(150);
    let before = cpu_time(pid).expect("running");
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_time(pid).expect("running") - before;
    assert!(used < MOST, "busy: {used:?} in a second");
}

/// Open descriptors.
pub fn open_fds(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Lets this process have so many open descriptors, or says that the system does not.
pub fn allow_fds(count: u64) -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a valid pointer to a struct of the right type.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }.into())?;
    limit.rlim_cur = limit.rlim_cur.max(count);
    // SAFETY: as above.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }.into())
}

/// Whether this process is root.
pub fn is_root() -> bool {
    // SAFETY: asks for a number.
    unsafe { libc::geteuid() == 0 }
}

/// A thread of another process that stands still until this is dropped. Only for the thread
/// that has stopped it: ptrace(2) belongs to one.
pub struct StoppedThread {
    tid: libc::pid_t,
    _only_here: PhantomData<*const ()>,
}

impl StoppedThread {
    /// Stops the thread of this name.
    ///
    /// # Errors
    /// When there is none, or this system lets us stop none.
    pub fn of(pid: u32, name: &str) -> io::Result<Self> {
        let tid = thread_named(pid, name)?;
        let no_address = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: attaching to a thread by its id; the addresses are not used.
        check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, no_address, no_address) })?;
        let stopped = Self {
            tid,
            _only_here: PhantomData,
        };
        // SAFETY: as above.
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
        // SAFETY: detaching from a thread that we are attached to. It fails only when that
        // has ended.
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
