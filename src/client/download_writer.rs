//! Writes and hashes the bytes of a download on a thread of its own, so that the socket is read
//! while the disk is busy. Commands reach the thread through a bounded channel; its first error
//! ends it and is returned by the next call.

use std::io::{self, Write};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::error::{ClientError, Result};
use crate::image::Md5Digest;
use crate::md5::Md5;
use crate::runtime;

/// Chunks that may wait for the writing thread.
const CHUNKS_AHEAD: usize = 16;

/// Destination of a download.
pub(super) trait DownloadTarget: Write + Send + 'static {
    /// Hashes the bytes that an earlier download left and returns their number.
    fn read_present(&mut self, md5: &mut Md5) -> io::Result<u64>;
    /// Discards everything written so far.
    fn restart(&mut self) -> io::Result<()>;
    /// Makes the complete data durable and visible under their name.
    fn publish(&mut self) -> io::Result<()>;
    /// Removes the written data.
    fn discard(&mut self) -> io::Result<()>;
    /// Keeps the written data for a later download.
    fn close(&mut self) -> io::Result<()>;
}

/// A stream, whose bytes cannot be taken back: standard output, a pipe, a device.
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
            "the download must start again, but data written to a stream cannot be taken back; \
             download to a file (--file)",
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

/// Treatment of the written bytes at the end of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completion {
    /// They are complete and verified.
    Publish,
    /// They are wrong.
    Discard,
    /// They are incomplete and may be resumed by a later download.
    Leave,
}

/// Handle to the writing thread.
pub(super) struct DownloadWriter {
    commands: mpsc::Sender<WriterCommand>,
    /// Result of the thread; taken when it is first reported.
    outcome: Option<oneshot::Receiver<io::Result<()>>>,
    /// Name of the destination, for errors.
    name: String,
    bytes: u64,
}

impl DownloadWriter {
    /// Starts the thread and waits until it has hashed the bytes that are present.
    ///
    /// # Errors
    /// [`ClientError::Io`] if the thread cannot be started or the bytes cannot be read.
    pub(super) async fn start(target: impl DownloadTarget, name: String) -> Result<Self> {
        let (commands, inbox) = mpsc::channel(CHUNKS_AHEAD);
        let (ready, present) = oneshot::channel();
        let (end, outcome) = oneshot::channel();
        let work = move || {
            // The receiver is gone if the download was cancelled.
            let _ = end.send(run(target, ready, inbox));
        };
        let spawned = runtime::spawn("download-writer", work);
        spawned.map_err(|error| ClientError::io("Cannot start a thread", error.into()))?;
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

    /// Returns the number of bytes present, including those of an earlier download.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.bytes += chunk.len() as u64;
        self.send(WriterCommand::Write(chunk)).await
    }

    /// Discards everything, so that the next byte written is the first one.
    pub(super) async fn restart(&mut self) -> Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        self.bytes = 0;
        self.send(WriterCommand::Restart).await
    }

    /// Returns the MD5 of all bytes present.
    pub(super) async fn digest(&mut self) -> Result<Md5Digest> {
        let (sender, digest) = oneshot::channel();
        self.send(WriterCommand::Digest(sender)).await?;
        match digest.await {
            Ok(digest) => Ok(digest),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Ends the thread and waits until it has treated the bytes as `how` says.
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
        ClientError::io(format!("Cannot write {}", self.name), error)
    }
}

fn died() -> io::Error {
    io::Error::other("the writing thread has ended")
}

/// The thread: executes commands until [`WriterCommand::Finish`] or an error. If the channel closes
/// without a finish, the download was cancelled and the bytes are kept.
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
