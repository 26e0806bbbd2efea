//! Limits the number of connections to what the descriptor limit of the process allows.
//!
//! A connection needs a descriptor, and about half of the requests need another one, for a file
//! or for a connection to another server. If connections used all descriptors, every download
//! would fail, so the limit on connections is lowered instead.

use std::fs;

use crate::process;

/// The most descriptors reserved for the registry, fills of the cache and uploads, each of which
/// uses several.
const MAX_RESERVED: u64 = 256;

/// Descriptors reserved for pipes: this fraction of the limit, and at most `MAX_PIPES`
/// (`transfer::pipe_pool`).
const PIPES_SHARE: u64 = 8;
const MAX_PIPES: u64 = 1_500;

/// Two of three descriptors are for connections. The third is for the file or the connection to
/// another server that one of these two requests. A download that finds no descriptor fails with
/// 503.
const SHARES: u64 = 3;
const CONNECTION_SHARES: u64 = 2;

/// Descriptors that the runtime of a thread uses: for epoll, an io_uring, and wake-ups.
const DESCRIPTORS_PER_THREAD: u64 = 6;

/// The fraction of the connection descriptors that the admin listener may use.
const ADMIN_SHARE: u64 = 8;

/// The most connections that are served at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct ConnectionLimits {
    /// Of the API.
    pub(in crate::server) api: usize,
    /// Of the admin listener.
    pub(in crate::server) admin: usize,
}

/// Raises the descriptor limit as far as the system allows. A failure is logged only: the limit
/// on connections follows the one that is in force.
pub(in crate::server) fn raise_descriptors() {
    if let Err(error) = process::raise_descriptors() {
        tracing::warn!(%error, "cannot raise the limit of file descriptors");
    }
}

/// Lowers `wanted` to what the descriptor limit allows. Must be called when everything except the
/// workers is open, because the open descriptors are counted.
pub(in crate::server) fn fit_limits(wanted: ConnectionLimits, workers: usize) -> ConnectionLimits {
    let limit = process::descriptor_limit();
    // The count includes the descriptor of the directory itself, which is closed afterwards.
    let open = fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64);
    // The workers, the acceptor and the admin listener.
    let open = open + (workers as u64 + 2) * DESCRIPTORS_PER_THREAD;
    let limits = fitting(wanted, limit, open);
    if limits.api < wanted.api {
        tracing::warn!(
            max_connections = wanted.api,
            served = limits.api,
            descriptors = limit,
            "max_connections is lowered, because the limit of file descriptors is too low; raise \
             LimitNOFILE or ulimit -n"
        );
    }
    limits
}

fn fitting(wanted: ConnectionLimits, limit: u64, open: u64) -> ConnectionLimits {
    let pipes = (limit / PIPES_SHARE).min(MAX_PIPES);
    let spare = limit.saturating_sub(open).saturating_sub(pipes);
    let spare = spare - (spare / 8).min(MAX_RESERVED);
    let fits = |wanted: usize, spare: u64| {
        let fitting = usize::try_from(spare / SHARES * CONNECTION_SHARES).unwrap_or(usize::MAX);
        // At least one, so that a server with a tiny limit still answers.
        wanted.min(fitting.max(1))
    };
    let admin = fits(wanted.admin, spare / ADMIN_SHARE);
    // Admin connections request no files, so only their own descriptors are subtracted.
    let left = spare.saturating_sub(admin as u64);
    ConnectionLimits {
        api: fits(wanted.api, left),
        admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: ConnectionLimits = ConnectionLimits {
        api: 10_000,
        admin: 128,
    };

    #[test]
    fn descriptors_remain_for_the_files_of_requests() {
        for limit in [96, 256, 1024, 4096] {
            let limits = fitting(WANTED, limit, 50);
            let used = (limits.api + limits.admin) as u64;
            let spare = limit - 50 - limit / PIPES_SHARE;
            assert!(used < spare * 3 / 4, "{limit}: {limits:?}");
            assert!(used > spare / 2, "{limit}: {limits:?}");
        }
    }

    #[test]
    fn large_limit_keeps_and_tiny_limit_leaves_one_connection() {
        assert_eq!(fitting(WANTED, 1 << 20, 100), WANTED);
        assert_eq!(fitting(WANTED, 20_000, 100), WANTED);
        let least = ConnectionLimits { api: 1, admin: 1 };
        assert_eq!(fitting(WANTED, 60, 70), least);
    }
}
