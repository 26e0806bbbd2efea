//! Whether a client takes what it is sent fast enough.
//!
//! The kernel is asked. What it has taken from us may still wait in its buffers, and only it
//! knows what the client has acknowledged and how long there was something to send: time in
//! which we are the slow ones does not count.

use std::mem::offset_of;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::transfer::RATE_WINDOW;

/// How much of a window must have been waiting for the client for it to be judged by it.
const BUSY_SHARE: f64 = 0.95;

/// What a reader may take its time for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlowClientCheck {
    socket: RawFd,
    min_rate_bytes: u64,
}

/// What the kernel knows about the sending side of a socket.
#[derive(Debug, Clone, Copy)]
struct Sent {
    acknowledged_bytes: u64,
    /// Time with something to send or to be acknowledged.
    busy: Duration,
}

/// The head of `struct tcp_info` (linux/tcp.h), as far as Linux 4.10 has it.
#[repr(C)]
struct TcpInfo {
    _before: [u8; 120],
    bytes_acked: u64,
    _between: [u8; 40],
    busy_time_us: u64,
}

const _: () = assert!(offset_of!(TcpInfo, bytes_acked) == 120);
const _: () = assert!(offset_of!(TcpInfo, busy_time_us) == 168);

impl SlowClientCheck {
    /// Judges the reader of this socket, for as long as the socket is open. Zero bytes a
    /// second are fast enough for anybody.
    pub(super) fn new(stream: &TcpStream, min_rate_bytes: u64) -> Self {
        Self {
            socket: stream.as_raw_fd(),
            min_rate_bytes,
        }
    }

    /// Returns when the client has been too slow for a whole window.
    pub(super) async fn too_slow(self) {
        if self.min_rate_bytes == 0 {
            return std::future::pending().await;
        }
        let mut before = (Instant::now(), Sent::on(self.socket));
        loop {
            sleep(RATE_WINDOW).await;
            let now = (Instant::now(), Sent::on(self.socket));
            if let (Some(earlier), Some(later)) = (before.1, now.1)
                && later.is_too_slow(earlier, now.0 - before.0, self.min_rate_bytes)
            {
                return;
            }
            before = now;
        }
    }
}

impl Sent {
    /// `None` where the kernel does not say.
    fn on(socket: RawFd) -> Option<Self> {
        let mut info = std::mem::MaybeUninit::<TcpInfo>::zeroed();
        let whole = size_of::<TcpInfo>() as libc::socklen_t;
        let mut filled = whole;
        // SAFETY: valid pointers to a buffer and to its length, which the kernel respects.
        let asked = unsafe {
            libc::getsockopt(
                socket,
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut filled,
            )
        };
        if asked != 0 || filled < whole {
            return None;
        }
        // SAFETY: plain numbers, all of them zeroed or filled in.
        let info = unsafe { info.assume_init() };
        Some(Self {
            acknowledged_bytes: info.bytes_acked,
            busy: Duration::from_micros(info.busy_time_us),
        })
    }

    fn is_too_slow(self, earlier: Self, window: Duration, min_rate_bytes: u64) -> bool {
        let busy = self.busy.saturating_sub(earlier.busy);
        let taken = self.acknowledged_bytes - earlier.acknowledged_bytes;
        busy >= window.mul_f64(BUSY_SHARE)
            && (taken as f64) < min_rate_bytes as f64 * window.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(acknowledged_bytes: u64, busy_s: u64) -> Sent {
        Sent {
            acknowledged_bytes,
            busy: Duration::from_secs(busy_s),
        }
    }

    #[test]
    fn only_who_is_waited_for_is_too_slow() {
        let window = Duration::from_secs(30);
        let slow = |later: Sent| later.is_too_slow(sent(1000, 5), window, 100);
        assert!(slow(sent(1000, 35)));
        assert!(slow(sent(3999, 35)));
        assert!(!slow(sent(4000, 35)), "fast enough");
        assert!(!slow(sent(1000, 30)), "we had nothing to send meanwhile");
    }

    #[tokio::test]
    async fn the_kernel_counts_what_is_acknowledged() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let before = Sent::on(server.as_raw_fd()).unwrap();
        server.write_all(&[7; 5000]).await.unwrap();
        let mut received = [0; 5000];
        client.read_exact(&mut received).await.unwrap();
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
        let after = Sent::on(server.as_raw_fd()).unwrap();
        assert_eq!(after.acknowledged_bytes - before.acknowledged_bytes, 5000);
    }
}
