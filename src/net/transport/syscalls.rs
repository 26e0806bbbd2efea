//! The system calls that send, and how much they are asked for.

use std::io::{self, IoSlice};
use std::os::fd::RawFd;

/// What the kernel keeps files in.
pub(super) const PAGE_BYTES: u64 = 4096;

/// Ends a step at the border of a page, unless it is the last: the kernel works on a page that
/// is sent in two parts twice, and all steps behind would begin in the middle of one.
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

/// Sends slices; with `more_follows` the kernel waits for more before it sends a packet
/// that is not full.
pub(super) fn send_slices(
    fd: RawFd,
    slices: &[IoSlice<'_>],
    more_follows: bool,
) -> io::Result<usize> {
    // SAFETY: all-zero bytes are a valid msghdr: no name, no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // IoSlice is guaranteed to have the layout of iovec; sendmsg does not write to it.
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = slices.len();
    let more = if more_follows { libc::MSG_MORE } else { 0 };
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | more;
    // SAFETY: the message points to slices that outlive the call.
    let sent = unsafe { libc::sendmsg(fd, &raw const message, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Moves bytes of a file to the socket without their passing through user space.
pub(super) fn send_file(
    out: RawFd,
    file: RawFd,
    position: u64,
    wanted: usize,
) -> io::Result<usize> {
    let mut offset = libc::off_t::try_from(position).map_err(io::Error::other)?;
    // SAFETY: two descriptors and a valid pointer to an offset.
    let sent = unsafe { libc::sendfile(out, file, &raw mut offset, wanted) };
    match usize::try_from(sent) {
        Ok(0) if wanted > 0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file is shorter than it was when it was opened",
        )),
        Ok(sent) => Ok(sent),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
