//! Reading from the socket.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

/// The receiving side of a client's socket.
pub(super) struct Receiver {
    stream: Rc<TcpStream>,
    /// Whether the socket was read. Before that the worker has not asked whether it is ready,
    /// and trying costs less than asking.
    has_read: bool,
}

impl Receiver {
    pub(super) fn new(stream: Rc<TcpStream>) -> Self {
        Self {
            stream,
            has_read: false,
        }
    }

    /// Reads what has come in; nothing at the end of the client's side.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.has_read, true) && self.read(buffer).is_ok() {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let mut received = None;
            let result = self.stream.try_io(Interest::READABLE, || {
                let room = buffer.remaining();
                let bytes = self.read(buffer)?;
                received = Some(bytes);
                // A part of what there is room for means that no more is there. Saying so
                // clears the readiness, which spares a call that would fail. The end of the
                // stream keeps it.
                if 0 < bytes && bytes < room {
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

    fn read(&self, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
        // SAFETY: recv writes only initialised bytes into the slice.
        let received = SockRef::from(&*self.stream).recv(unsafe { buffer.unfilled_mut() })?;
        // SAFETY: recv filled this many bytes at the front of the slice.
        unsafe { buffer.assume_init(received) };
        buffer.advance(received);
        Ok(received)
    }
}
