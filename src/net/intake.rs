//! Bytes of a request's body, received straight into blocks.
//!
//! hyper receives a body into a buffer of its own, and what comes out of it would have to be
//! copied into the aligned blocks that disks and hash lanes take. So the transport receives
//! into a block itself and shows hyper as many zeros: hyper keeps the framing, the order and
//! the back-pressure, and never sees the data.
//!
//! What hyper received before, behind the head for instance, comes first and is copied. The
//! direct road begins when hyper holds nothing more of the body. It is for bodies of a stated
//! length. Should hyper's zeros and the blocks ever differ in number, the upload fails.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::inbox::Inbox;
use super::shared::Shared;
use crate::transfer::BlockPool;

/// The body of one request, in blocks. Dropped, the rest of the body goes hyper's way.
pub struct Intake {
    shared: Rc<Shared>,
    /// Bytes of the body that hyper has not handed out yet.
    left_bytes: u64,
    /// Placeholders that hyper handed out.
    taken_bytes: u64,
}

impl Intake {
    /// For a body of which hyper has handed out nothing yet.
    pub(super) fn new(shared: Rc<Shared>, body_bytes: u64, pool: BlockPool) -> Self {
        shared.inbox.replace(Some(Inbox::new(pool)));
        let intake = Self {
            shared,
            left_bytes: body_bytes,
            taken_bytes: 0,
        };
        intake.go_direct_if_possible();
        intake
    }

    /// Takes what hyper handed out: bytes, or what stands for them.
    ///
    /// # Errors
    /// hyper handed out more placeholders than bytes were received.
    pub fn take(&mut self, data: &[u8]) -> io::Result<()> {
        let is_direct = self.with_inbox(|inbox| {
            if !inbox.is_direct() {
                inbox.copy(data);
            }
            inbox.is_direct()
        });
        self.left_bytes = self.left_bytes.saturating_sub(data.len() as u64);
        if !is_direct {
            self.go_direct_if_possible();
            return Ok(());
        }
        self.taken_bytes += data.len() as u64;
        if self.taken_bytes > self.with_inbox(|inbox| inbox.shown_bytes()) {
            return Err(miscounted());
        }
        Ok(())
    }

    /// The next whole block.
    pub fn next_block(&mut self) -> Option<Bytes> {
        self.with_inbox(Inbox::next_block)
    }

    /// What is left at the end of the body.
    ///
    /// # Errors
    /// hyper ended the body before it handed out all that was received.
    pub fn rest(&mut self) -> io::Result<Option<Bytes>> {
        if self.taken_bytes != self.with_inbox(|inbox| inbox.shown_bytes()) {
            return Err(miscounted());
        }
        Ok(self.with_inbox(Inbox::rest))
    }

    /// The direct road begins where hyper has handed out all it received: what comes from
    /// now on is behind it.
    fn go_direct_if_possible(&self) {
        let left = self.shared.body_left_bytes();
        if left > 0 && self.left_bytes == left {
            self.with_inbox(Inbox::go_direct);
        }
    }

    /// The inbox is there from `new` to `drop`, and one request at a time has a body.
    fn with_inbox<T: Default>(&self, act: impl FnOnce(&mut Inbox) -> T) -> T {
        self.shared
            .inbox
            .borrow_mut()
            .as_mut()
            .map(act)
            .unwrap_or_default()
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.shared.inbox.replace(None);
    }
}

fn miscounted() -> io::Error {
    io::Error::other("the server's own count of a body is wrong; it is given up")
}
