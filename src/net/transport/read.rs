//! Receives from the client's socket with as few system calls as possible.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::sys::receive;

/// The receiving side of a client's socket.
pub(super) struct Receiver {
    stream: Rc<TcpStream>,
    /// True if the socket was read. The first read is tried at once: the runtime does not know
    /// the readiness of a new socket, and trying costs less than an event-loop tick.
    has_read: bool,
}

impl Receiver {
    pub(super) fn new(stream: Rc<TcpStream>) -> Self {
        Self {
            stream,
            has_read: false,
        }
    }

    /// Receives bytes, or none if the client has closed its sending side.
    ///
    /// # Errors
    /// Those of recv(2).
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.has_read, true) && receive(&*self.stream, buffer).is_ok() {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let mut received = None;
            let result = self.stream.try_io(Interest::READABLE, || {
                let capacity = buffer.remaining();
                let bytes = receive(&*self.stream, buffer)?;
                received = Some(bytes);
                // A short read has emptied the socket. Reporting `WouldBlock` clears the
                // runtime's readiness, which saves a call that would fail. The end of the
                // stream (zero bytes) keeps the readiness, since no further event will come.
                if 0 < bytes && bytes < capacity {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            match result {
                _ if received.is_some() => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}
