//! Descriptors: how many the system lets this process have, and how many connections fit.

use std::fs;
use std::io;
use std::mem::MaybeUninit;

/// Most descriptors that are set aside for the registry, fetches into the cache and uploads, each
/// of which has several.
const MOST_SET_ASIDE: u64 = 256;

/// The part of the limit that is set aside for pipes, and the most that they have
/// (`transfer::pipe_pool`).
const PIPES_PART: u64 = 8;
const MOST_OF_PIPES: u64 = 1_500;

/// Of three descriptors two are for connections, and one is for a file or a connection to
/// another server that one of the two is sent. A download that finds none is refused with 503.
const PARTS: u64 = 3;
const CONNECTIONS_PARTS: u64 = 2;

/// Descriptors that a thread of its own has for waiting: of epoll, of a ring, and to be woken.
const DESCRIPTORS_OF_A_WORKER: u64 = 6;

/// The part of the descriptors for connections that operators have.
const OPERATORS_PART: u64 = 8;

/// How many connections are served at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionRoom {
    /// Of clients of the API.
    pub(super) api: usize,
    /// Of operators.
    pub(super) admin: usize,
}

/// Raises the number of descriptors to the most that the system allows.
pub(super) fn raise_descriptors() {
    if let Err(error) = raise() {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
    }
}

/// How many of the `wanted` connections are served at a time, so that descriptors are left for
/// what they ask for. To be asked when everything but the workers is open.
pub(super) fn connection_room(wanted: ConnectionRoom, workers: usize) -> ConnectionRoom {
    let limit = limit().map_or(u64::MAX, |limit| limit.rlim_cur);
    // One of those that are counted is that of the count.
    let open = fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64);
    let open = open + (workers as u64 + 2) * DESCRIPTORS_OF_A_WORKER;
    let room = fitting(wanted, limit, open);
    if room.api < wanted.api {
        tracing::warn!(
            max_connections = wanted.api,
            served = room.api,
            descriptors = limit,
            "max_connections is lowered to what the file descriptors suffice for; raise LimitNOFILE or ulimit -n"
        );
    }
    room
}

fn fitting(wanted: ConnectionRoom, limit: u64, open: u64) -> ConnectionRoom {
    let pipes = (limit / PIPES_PART).min(MOST_OF_PIPES);
    let spare = limit.saturating_sub(open).saturating_sub(pipes);
    let spare = spare - (spare / 8).min(MOST_SET_ASIDE);
    let fits = |wanted: usize, spare: u64| {
        let fitting = usize::try_from(spare / PARTS * CONNECTIONS_PARTS).unwrap_or(usize::MAX);
        wanted.min(fitting.max(1))
    };
    let admin = fits(wanted.admin, spare / OPERATORS_PART);
    // Operators are sent no files.
    let left = spare.saturating_sub(admin as u64);
    ConnectionRoom {
        api: fits(wanted.api, left),
        admin,
    }
}

fn limit() -> io::Result<libc::rlimit> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the pointer is to a struct of the right type, which the kernel fills in.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: filled in, since the call returned zero.
    Ok(unsafe { limit.assume_init() })
}

fn raise() -> io::Result<()> {
    let mut limit = limit()?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: a valid pointer to a filled-in struct.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: ConnectionRoom = ConnectionRoom {
        api: 10_000,
        admin: 128,
    };

    #[test]
    fn descriptors_are_left_for_what_connections_ask_for() {
        for limit in [96, 256, 1024, 4096] {
            let room = fitting(WANTED, limit, 50);
            let used = (room.api + room.admin) as u64;
            let spare = limit - 50 - limit / PIPES_PART;
            assert!(used < spare * 3 / 4, "{limit}: {room:?}");
            assert!(used > spare / 2, "{limit}: {room:?}");
        }
    }

    #[test]
    fn a_large_limit_lowers_nothing_and_a_tiny_one_leaves_something() {
        assert_eq!(fitting(WANTED, 1 << 20, 100), WANTED);
        assert_eq!(fitting(WANTED, 20_000, 100), WANTED);
        let least = ConnectionRoom { api: 1, admin: 1 };
        assert_eq!(fitting(WANTED, 60, 70), least);
    }
}
