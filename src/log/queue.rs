//! Passes lines from the threads that log to the thread that writes.
//!
//! A request must not wait for a slow disk or a stopped reader of a pipe, so the queue is bounded.
//! When it is full, lines are dropped and counted; the count is logged with the next written lines.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use super::output::Output;
use crate::runtime;

/// Longest time that the end of a process waits until the log is written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause of the writer after each write, in which further lines gather. A line that arrives while
/// the writer is idle is written at once. Under load the pause saves the logging threads a wake-up,
/// that is a system call, for each line.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// A bounded queue of lines that wait to be written.
pub(super) struct Queue {
    // A std lock suffices: it is held only while one line is copied, never across an await.
    waiting: Mutex<QueueState>,
    changed: Condvar,
    max_bytes: usize,
}

#[derive(Default)]
struct QueueState {
    /// Complete lines, each with a line feed.
    lines: String,
    dropped: u64,
    closed: bool,
    /// True if the writer waits for a notification.
    asleep: bool,
}

impl Queue {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            max_bytes,
        }
    }

    /// Appends a line, or counts it as dropped if the queue is full.
    pub fn push(&self, line: &str) {
        let mut waiting = self.lock();
        if waiting.closed {
            return;
        }
        if waiting.lines.len() + line.len() >= self.max_bytes {
            waiting.dropped += 1;
            return;
        }
        waiting.lines.push_str(line);
        waiting.lines.push('\n');
        // Notify only an idle writer, once, and without the lock, which the writer needs at once.
        let wake = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if wake {
            self.changed.notify_one();
        }
    }

    /// Stops accepting lines. Queued lines are still written.
    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for lines and swaps them with `lines`, which must be empty. Returns the number of
    /// lines that were dropped since the last call, or `None` if the queue is closed and empty.
    fn take(&self, lines: &mut String) -> Option<u64> {
        let mut waiting = self.lock();
        // A loop, because a condition variable may wake without a notification.
        while waiting.lines.is_empty() && !waiting.closed {
            waiting.asleep = true;
            let woken = self.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.lines.is_empty() {
            return None;
        }
        // Swapping keeps the lock short and reuses the memory of both buffers.
        std::mem::swap(&mut waiting.lines, lines);
        Some(std::mem::take(&mut waiting.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // A line is appended completely or not at all, so a panic leaves consistent data behind.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that writes one queue to one output. Dropping it writes the queued lines and ends it.
pub(super) struct Writer {
    queue: Arc<Queue>,
    ended: mpsc::Receiver<()>,
}

impl Writer {
    /// Starts the thread. `notice` formats a message about the log itself.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub fn start(
        queue: Arc<Queue>,
        output: Output,
        notice: impl Fn(&str) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let lines = queue.clone();
        runtime::spawn("log", move || {
            write_all(&lines, output, notice);
            // The receiver no longer exists if the process did not wait.
            let _ = end.send(());
        })?;
        Ok(Self { queue, ended })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        // After the timeout the output is stuck, and the remaining lines are lost.
        let _ = self.ended.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// Writes lines until the queue is closed and empty.
fn write_all(queue: &Queue, mut output: Output, notice: impl Fn(&str) -> String) {
    let mut lines = String::new();
    let mut lost = 0_u64;
    while let Some(dropped) = queue.take(&mut lines) {
        lost += dropped;
        let count = lines.bytes().filter(|byte| *byte == b'\n').count() as u64;
        if lost > 0 {
            // The notice follows the lines, because they were logged before the dropped ones.
            let message =
                format!("{lost} log lines were lost: the log is too slow or cannot be written");
            lines.push_str(&notice(&message));
            lines.push('\n');
        }
        match output.write(lines.as_bytes()) {
            Ok(()) => lost = 0,
            Err(error) => {
                if lost == dropped {
                    // Reported once for a series of failures, not for each line. If standard
                    // error is closed, too, there is no other channel.
                    let _ = writeln!(
                        io::stderr(),
                        "cannot write the log: {error}; lines are lost"
                    );
                }
                lost += count;
            }
        }
        lines.clear();
        thread::sleep(GATHER_TIME);
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::Destination;
    use super::*;

    fn notice(message: &str) -> String {
        format!("NOTICE {message}")
    }

    #[test]
    fn all_lines_are_written_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("g.log");
        let output = Output::open(&Destination::File(path.clone())).expect("open");
        let queue = Arc::new(Queue::new(1 << 20));
        let writer = Writer::start(queue.clone(), output, notice).expect("a thread");
        for number in 0..1_000 {
            queue.push(&format!("line {number}"));
        }
        drop(writer);
        queue.push("too late");
        let expected: String = (0..1_000)
            .map(|number| format!("line {number}\n"))
            .collect();
        assert_eq!(std::fs::read_to_string(path).expect("read"), expected);
    }

    #[test]
    fn full_queue_drops_and_counts_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("g.log");
        let queue = Arc::new(Queue::new(64));
        // No writer yet: this would hang if a full queue made its callers wait.
        for number in 0..100 {
            queue.push(&format!("line {number}"));
        }
        let output = Output::open(&Destination::File(path.clone())).expect("open");
        drop(Writer::start(queue, output, notice).expect("a thread"));
        let text = std::fs::read_to_string(path).expect("read");
        let (lines, last) = text
            .trim_end()
            .rsplit_once('\n')
            .expect("lines and a notice");
        let kept = lines.lines().count();
        assert!(lines.starts_with("line 0\n") && kept < 10, "{text}");
        assert!(
            last.starts_with(&format!("NOTICE {} log lines were lost", 100 - kept)),
            "{text}"
        );
    }

    #[test]
    fn a_broken_output_ends_neither_the_thread_nor_the_process() {
        let output = Output::open(&Destination::File("/dev/full".into())).expect("open");
        let queue = Arc::new(Queue::new(1 << 20));
        let writer = Writer::start(queue.clone(), output, notice).expect("a thread");
        queue.push("lost");
        queue.push("lost too");
        drop(writer);
    }
}
