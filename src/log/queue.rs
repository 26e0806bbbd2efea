//! The way from the threads that log to the thread that writes.
//!
//! A request must not wait for a slow disk or a reader that fell asleep, so lines pass through a queue of bounded
//! size. When it is full lines are dropped and counted, and the count is logged as soon as there is room.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use super::output::Output;

/// How long the end of a process waits for the log to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the writer lets lines gather after it has written some. A line that finds it asleep is written at once;
/// under load this spares the threads that log a system call for each line.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// Lines that wait to be written.
pub(super) struct Queue {
    // A lock of std, not of tokio: it is held for a copy of one line and never while waiting.
    waiting: Mutex<QueueState>,
    changed: Condvar,
    max_bytes: usize,
}

#[derive(Default)]
struct QueueState {
    /// Whole lines.
    lines: String,
    dropped: u64,
    closed: bool,
    /// The writer sleeps until it is woken.
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

    /// Adds a line, or counts it as dropped when there is no room.
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
        let wake = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if wake {
            self.changed.notify_one();
        }
    }

    /// Takes no more lines; what waits is still written.
    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for lines and swaps them with `lines`, which must be empty. Gives how many were dropped since the last
    /// time, or `None` when the queue is closed and empty.
    fn take(&self, lines: &mut String) -> Option<u64> {
        let mut waiting = self.lock();
        while waiting.lines.is_empty() && !waiting.closed {
            waiting.asleep = true;
            let woken = self.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.lines.is_empty() {
            return None;
        }
        std::mem::swap(&mut waiting.lines, lines);
        Some(std::mem::take(&mut waiting.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // A line is added whole or not at all, so what a panicked thread left is sound.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that writes one queue to one output. Dropped, it writes what waits and ends.
pub(super) struct Writer {
    queue: Arc<Queue>,
    ended: mpsc::Receiver<()>,
}

impl Writer {
    /// Starts the thread. `notice` makes a line of a message of the log itself.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        queue: Arc<Queue>,
        output: Output,
        notice: impl Fn(&str) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let lines = queue.clone();
        thread::Builder::new().name("log".into()).spawn(move || {
            write_all(&lines, output, notice);
            // Nobody listens when the process did not wait.
            let _ = end.send(());
        })?;
        Ok(Self { queue, ended })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        // Past the limit the output is stuck, and the lines are lost with the process.
        let _ = self.ended.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// Writes until the queue is closed.
fn write_all(queue: &Queue, mut output: Output, notice: impl Fn(&str) -> String) {
    let mut lines = String::new();
    let mut lost = 0_u64;
    while let Some(dropped) = queue.take(&mut lines) {
        lost += dropped;
        let count = lines.bytes().filter(|byte| *byte == b'\n').count() as u64;
        if lost > 0 {
            // Behind the lines: those were logged before the lost ones, or as they were.
            let message =
                format!("{lost} log lines were lost: the log cannot keep up or be written");
            lines.push_str(&notice(&message));
            lines.push('\n');
        }
        match output.write(lines.as_bytes()) {
            Ok(()) => lost = 0,
            Err(error) => {
                if lost == dropped {
                    // Once for each row of failures, not for each line.
                    // When standard error is gone too there is nobody left to tell.
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
    fn lines_are_written_in_order_and_none_is_left_behind() {
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
        let wanted: String = (0..1_000)
            .map(|number| format!("line {number}\n"))
            .collect();
        assert_eq!(std::fs::read_to_string(path).expect("read"), wanted);
    }

    #[test]
    fn a_full_queue_drops_and_counts_instead_of_waiting() {
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
