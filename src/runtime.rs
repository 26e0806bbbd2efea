//! Named threads and the single-threaded runtimes that they run.
//!
//! Every thread of the programs is started here, so that each has a name (shown by `ps -L` and
//! in panic messages), and so that all report a failure to start in the same way.
//!
//! * [`spawn`] starts a thread for blocking work.
//! * [`spawn_local`] starts a thread that runs a future until the future completes or the
//!   returned [`LocalThread`] stops it.
//! * [`current_thread`] and [`block_on_local`] create a runtime for the calling thread.

use std::io;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::LocalSet;

/// A thread or its runtime cannot be created, usually because the process has reached a limit on
/// threads (`TasksMax` of systemd, `ulimit -u`) or on descriptors.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread {name}: {cause}")]
pub struct ThreadError {
    name: String,
    #[source]
    cause: io::Error,
}

impl ThreadError {
    fn new(name: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let name = name.into();
        |cause| Self { name, cause }
    }
}

impl From<ThreadError> for io::Error {
    fn from(error: ThreadError) -> Self {
        Self::new(error.cause.kind(), error)
    }
}

/// The system interface that a runtime waits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// epoll; files are read and written by other threads.
    Epoll,
    /// io_uring, for sockets and files.
    Uring,
}

/// A request to stop, as the future of a [`LocalThread`] sees it.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// Waits until the thread is requested to stop.
    pub async fn requested(&mut self) {
        // An error means that the handle was dropped, which requests the same.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

/// A thread that runs a future. Dropping the handle requests the thread to stop without waiting
/// for it.
#[derive(Debug)]
pub struct LocalThread {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl LocalThread {
    /// Requests the thread to stop. Its future is dropped at the next point where it waits.
    pub fn request_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Lets the thread run until its future completes or the process ends.
    pub fn detach(self) {
        // Dropping the sender would request the thread to stop.
        std::mem::forget(self.stop);
    }

    /// Requests the thread to stop and waits until it has ended. Must not be called by a task of
    /// a runtime, which it would block.
    pub fn stop(self) {
        self.request_stop();
        // A thread that panicked has reported the panic and has nothing left to end.
        let _ = self.thread.join();
    }
}

/// Starts a thread.
///
/// # Errors
/// [`ThreadError`] when the system refuses the thread.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, ThreadError> {
    let name = name.into();
    let thread = thread::Builder::new().name(name.clone());
    thread.spawn(run).map_err(ThreadError::new(name))
}

/// Starts a thread that creates a runtime of this kind and runs the future of `work` on it.
/// Returns when the runtime exists. `work` is called on the new thread, so the future need not
/// be `Send` and may spawn local tasks.
///
/// # Errors
/// [`ThreadError`] when the system refuses the thread or its runtime.
pub fn spawn_local<F: Future<Output = ()>>(
    name: impl Into<String>,
    kind: RuntimeKind,
    work: impl FnOnce(StopSignal) -> F + Send + 'static,
) -> Result<LocalThread, ThreadError> {
    let name = name.into();
    let (stop, receiver) = watch::channel(false);
    let mut signal = StopSignal(receiver);
    let (created, creation) = sync_channel(1);
    let thread = spawn(name.clone(), move || {
        // io_uring runtimes cannot be moved between threads, so even a runtime that is about to
        // fail is created here, and the result sent back.
        let ran = block_on_local(kind, async {
            let _ = created.send(Ok(()));
            let work = work(signal.clone());
            tokio::select! {
                () = signal.requested() => {}
                () = work => {}
            }
        });
        if let Err(error) = ran {
            let _ = created.send(Err(error));
        }
    })?;
    let created = creation.recv().unwrap_or_else(|_| {
        let message = "the thread panicked while it created its runtime";
        Err(io::Error::other(message))
    });
    created.map_err(ThreadError::new(name))?;
    Ok(LocalThread { stop, thread })
}

/// Creates a runtime for the calling thread, with sockets and timers.
///
/// # Errors
/// [`ThreadError`] when the system has no descriptors left.
pub fn current_thread() -> Result<Runtime, ThreadError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|cause| {
        let name = thread::current().name().unwrap_or("main").to_owned();
        ThreadError { name, cause }
    })
}

/// Runs a future to completion on a new runtime of the calling thread. The future may spawn local
/// tasks, which are dropped when it completes.
///
/// # Errors
/// Those of the system when the runtime cannot be created. The future has not been polled then.
pub fn block_on_local<F: Future>(kind: RuntimeKind, future: F) -> io::Result<F::Output> {
    match kind {
        RuntimeKind::Epoll => {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            Ok(LocalSet::new().block_on(&runtime, future))
        }
        // This runtime supports local tasks without a `LocalSet`.
        RuntimeKind::Uring => {
            let runtime = tokio_uring::Runtime::new(&tokio_uring::builder())?;
            Ok(runtime.block_on(future))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn local_thread_has_its_name_and_stops_on_request() {
        let (sender, receiver) = channel();
        let work = move |_| async move {
            let name = thread::current().name().map(str::to_owned);
            // A local task runs, so the future is on a runtime with a `LocalSet`.
            tokio::task::spawn_local(async {}).await.unwrap();
            sender.send(name).unwrap();
            std::future::pending::<()>().await;
        };
        let thread = spawn_local("test-local", RuntimeKind::Epoll, work).unwrap();
        let seen = receiver.recv().unwrap();
        assert_eq!(seen.as_deref(), Some("test-local"));
        thread.stop();
    }

    #[test]
    fn dropped_handle_stops_the_thread() {
        let (sender, receiver) = channel::<()>();
        let work = |_| async move {
            let _sender = sender;
            std::future::pending::<()>().await;
        };
        drop(spawn_local("test-dropped", RuntimeKind::Epoll, work).unwrap());
        // The channel closes when the future is dropped.
        assert!(receiver.recv().is_err());
    }

    #[test]
    fn thread_error_names_the_thread() {
        let error = ThreadError::new("worker-1")(io::Error::from(io::ErrorKind::OutOfMemory));
        assert_eq!(
            error.to_string(),
            "cannot start the thread worker-1: out of memory"
        );
    }
}
