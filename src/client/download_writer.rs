//! Where downloaded bytes go: written and hashed on a thread of its own, so that the socket
//! is read meanwhile.

use std::io::{self, Write};
use std::thread;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::error::{ClientError, Result};
use crate::image::Md5Digest;
use crate::md5::Md5;

/// Chunks the socket may be ahead of the writing thread.
const CHUNKS_AHEAD: usize = 16;

/// Something downloaded bytes are written to.
pub(super) trait DownloadTarget: Write + Send + 'static {
    /// Hashes what an earlier download left, and says how many bytes that is.
    fn read_present(&mut self, md5: &mut Md5) -> io::Result<u64>;
    /// Drops everything written so far.
    fn restart(&mut self) -> io::Result<()>;
    /// Makes the complete data durable and visible.
    fn publish(&mut self) -> io::Result<()>;
    /// Removes what was written.
    fn discard(&mut self) -> io::Result<()>;
    /// Leaves what was written for a later download.
    fn close(&mut self) -> io::Result<()>;
}

/// A stream that takes bytes once: standard output, a pipe, a device.
pub(super) struct StreamTarget<W>(pub(super) W);

impl<W: Write> Write for StreamTarget<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write + Send + 'static> DownloadTarget for StreamTarget<W> {
    fn read_present(&mut self, _md5: &mut Md5) -> io::Result<u64> {
        Ok(0)
    }

    fn restart(&mut self) -> io::Result<()> {
        Err(io::Error::other(
            "the image has to be sent again from its start, and what was written to a stream \
             cannot be taken back; download to a file (--file)",
        ))
    }

    fn publish(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn discard(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

enum WriterCommand {
    Write(Bytes),
    Restart,
    Digest(oneshot::Sender<Md5Digest>),
    Finish(Completion),
}

/// What becomes of the bytes in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completion {
    /// They are complete: make them durable and visible.
    Publish,
    /// They are wrong: remove them.
    Discard,
    /// They are a beginning: leave them for a later download.
    Leave,
}

/// The writing thread, seen from the transfer.
pub(super) struct DownloadWriter {
    commands: mpsc::Sender<WriterCommand>,
    /// How the thread ended; gone when that was asked for.
    outcome: Option<oneshot::Receiver<io::Result<()>>>,
    /// What is written to, for messages.
    name: String,
    bytes: u64,
}

impl DownloadWriter {
    /// Starts the thread, and waits until it has hashed what is there already.
    pub(super) async fn start(target: impl DownloadTarget, name: String) -> Result<Self> {
        let (commands, inbox) = mpsc::channel(CHUNKS_AHEAD);
        let (ready, present) = oneshot::channel();
        let (end, outcome) = oneshot::channel();
        let work = move || {
            // Nobody listens any more when the download was given up.
            let _ = end.send(run(target, ready, inbox));
        };
        let thread = thread::Builder::new().name("download-writer".to_owned());
        let spawned = thread.spawn(work);
        spawned.map_err(|error| ClientError::io("Starting a thread failed", error))?;
        let mut sink = Self {
            commands,
            outcome: Some(outcome),
            name,
            bytes: 0,
        };
        match present.await {
            Ok(bytes) => sink.bytes = bytes,
            Err(_) => return Err(sink.failure().await),
        }
        Ok(sink)
    }

    /// Bytes written, those of an earlier download among them.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.bytes += chunk.len() as u64;
        self.send(WriterCommand::Write(chunk)).await
    }

    /// Drops everything and begins at the first byte.
    pub(super) async fn restart(&mut self) -> Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.bytes = 0;
        self.send(WriterCommand::Restart).await
    }

    /// The MD5 of all bytes written.
    pub(super) async fn digest(&mut self) -> Result<Md5Digest> {
        let (sender, digest) = oneshot::channel();
        self.send(WriterCommand::Digest(sender)).await?;
        match digest.await {
            Ok(digest) => Ok(digest),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Ends the thread and waits for it.
    pub(super) async fn end(mut self, how: Completion) -> Result<()> {
        self.send(WriterCommand::Finish(how)).await?;
        match self.outcome().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.describe(error)),
        }
    }

    async fn send(&mut self, command: WriterCommand) -> Result<()> {
        if self.commands.send(command).await.is_err() {
            return Err(self.failure().await);
        }
        Ok(())
    }

    async fn failure(&mut self) -> ClientError {
        let outcome = self.outcome().await;
        let error = outcome.err().unwrap_or_else(died);
        self.describe(error)
    }

    async fn outcome(&mut self) -> io::Result<()> {
        match self.outcome.take() {
            Some(outcome) => outcome.await.unwrap_or_else(|_| Err(died())),
            None => Err(died()),
        }
    }

    fn describe(&self, error: io::Error) -> ClientError {
        ClientError::io(format!("Writing {} failed", self.name), error)
    }
}

fn died() -> io::Error {
    io::Error::other("the writing thread has ended")
}

/// The thread: carries out commands until the end, or until an error or the transfer's own
/// end leaves the bytes as they are.
fn run(
    mut target: impl DownloadTarget,
    ready: oneshot::Sender<u64>,
    mut inbox: mpsc::Receiver<WriterCommand>,
) -> io::Result<()> {
    let mut md5 = Md5::default();
    let present_bytes = target.read_present(&mut md5)?;
    let _ = ready.send(present_bytes);
    while let Some(command) = inbox.blocking_recv() {
        match command {
            WriterCommand::Write(chunk) => {
                target.write_all(&chunk)?;
                md5.update(&chunk);
            }
            WriterCommand::Restart => {
                target.restart()?;
                md5 = Md5::default();
            }
            WriterCommand::Digest(reply) => {
                let _ = reply.send(md5.clone().finalize());
            }
            WriterCommand::Finish(Completion::Publish) => return target.publish(),
            WriterCommand::Finish(Completion::Discard) => return target.discard(),
            WriterCommand::Finish(Completion::Leave) => break,
        }
    }
    target.close()
}
