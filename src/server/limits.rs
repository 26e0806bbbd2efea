//! What the system lets this process have.

use std::io;
use std::mem::MaybeUninit;

/// Descriptors beside those of connections: registry, images being written, listeners.
const DESCRIPTORS_BESIDE: u64 = 256;

/// Raises the number of descriptors to what the system allows, and says when that is less
/// than that many connections need.
pub(super) fn raise_descriptors(connections: usize) {
    let wanted = connections as u64 + DESCRIPTORS_BESIDE;
    match raise() {
        Ok(allowed) if allowed < wanted => tracing::warn!(
            allowed,
            wanted,
            "fewer file descriptors than max_connections may need; raise LimitNOFILE or ulimit -n"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of file descriptors cannot be raised"),
    }
}

fn raise() -> io::Result<u64> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the pointer is to a struct of the right type, which the kernel fills in.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: filled in, since the call returned zero.
    let mut limit = unsafe { limit.assume_init() };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: a valid pointer to a filled-in struct.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_max)
}
