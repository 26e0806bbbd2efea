//! The system calls that send, and the sizes that they are called with.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::fs::sendfile;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

pub(super) use crate::sys::PAGE_BYTES;

/// Shortens a step of `wanted` bytes so that it ends at a page border, unless it is the last.
///
/// The kernel would process a page that two steps share twice, and all later steps would begin
/// in the middle of a page.
pub(super) fn whole_pages(position: u64, wanted: usize, left: u64) -> usize {
    let over = (position % PAGE_BYTES) as usize + wanted;
    let whole = over - over % PAGE_BYTES as usize;
    let whole = whole.saturating_sub((position % PAGE_BYTES) as usize);
    if wanted as u64 == left || whole == 0 {
        wanted
    } else {
        whole
    }
}

/// Sends slices with sendmsg(2). With `more_follows` the kernel holds back a partial packet
/// (MSG_MORE).
///
/// # Errors
/// Those of sendmsg(2).
pub(super) fn send_slices(
    socket: impl AsFd,
    slices: &[IoSlice<'_>],
    more_follows: bool,
) -> io::Result<usize> {
    let mut flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    flags.set(SendFlags::MORE, more_follows);
    let mut no_control = SendAncillaryBuffer::default();
    Ok(sendmsg(socket, slices, &mut no_control, flags)?)
}

/// Sends bytes of a file with sendfile(2).
///
/// # Errors
/// Those of sendfile(2); `UnexpectedEof` if the file was truncated.
pub(super) fn send_file(
    socket: impl AsFd,
    file: impl AsFd,
    position: u64,
    wanted: usize,
) -> io::Result<usize> {
    let mut offset = position;
    match sendfile(socket, file, Some(&mut offset), wanted)? {
        0 if wanted > 0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "file truncated while it was sent",
        )),
        sent => Ok(sent),
    }
}
