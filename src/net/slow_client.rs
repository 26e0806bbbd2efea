//! Detects clients that receive data more slowly than the configured minimum.
//!
//! The kernel supplies the figures (TCP_INFO, tcp(7)). Bytes that a system call accepted may
//! still be in the socket buffer; only the kernel knows the bytes that the client acknowledged,
//! and for how long there was something to send. Time in which the server had nothing to send
//! does not count against the client.

use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::sys::{SendStats, send_stats};
use crate::transfer::RATE_WINDOW;

/// Share of a window in which data must have waited for the client. A window with a smaller
/// share says nothing about the client.
const BUSY_SHARE: f64 = 0.95;

/// Watches the receive rate of one client.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlowClientCheck {
    socket: RawFd,
    min_rate_bytes: u64,
}

impl SlowClientCheck {
    /// Creates a check for the client of `stream`, which must stay open as long as the check is
    /// used. A minimum of zero bytes per second disables the check.
    pub(super) fn new(stream: &TcpStream, min_rate_bytes: u64) -> Self {
        Self {
            socket: stream.as_raw_fd(),
            min_rate_bytes,
        }
    }

    /// Returns when the client was too slow for a whole window of [`RATE_WINDOW`].
    pub(super) async fn too_slow(self) {
        if self.min_rate_bytes == 0 {
            return std::future::pending().await;
        }
        let mut before = (Instant::now(), send_stats(self.socket));
        loop {
            sleep(RATE_WINDOW).await;
            let now = (Instant::now(), send_stats(self.socket));
            if let (Some(earlier), Some(later)) = (before.1, now.1)
                && is_too_slow(earlier, later, now.0 - before.0, self.min_rate_bytes)
            {
                return;
            }
            before = now;
        }
    }
}

/// Returns true if the client received less than the minimum in a window between two measurements.
fn is_too_slow(
    earlier: SendStats,
    later: SendStats,
    window: Duration,
    min_rate_bytes: u64,
) -> bool {
    let busy = later.busy.saturating_sub(earlier.busy);
    let received = later.acknowledged_bytes - earlier.acknowledged_bytes;
    busy >= window.mul_f64(BUSY_SHARE)
        && (received as f64) < min_rate_bytes as f64 * window.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(acknowledged_bytes: u64, busy_s: u64) -> SendStats {
        SendStats {
            acknowledged_bytes,
            busy: Duration::from_secs(busy_s),
        }
    }

    #[test]
    fn time_without_data_to_send_does_not_count() {
        let window = Duration::from_secs(30);
        let slow = |later| is_too_slow(sent(1000, 5), later, window, 100);
        assert!(slow(sent(1000, 35)));
        assert!(slow(sent(3999, 35)));
        assert!(!slow(sent(4000, 35)), "fast enough");
        assert!(!slow(sent(1000, 30)), "the server had nothing to send");
    }

    #[tokio::test]
    async fn kernel_counts_acknowledged_bytes() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let before = send_stats(server.as_raw_fd()).unwrap();
        server.write_all(&[7; 5000]).await.unwrap();
        let mut received = [0; 5000];
        client.read_exact(&mut received).await.unwrap();
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
        let after = send_stats(server.as_raw_fd()).unwrap();
        assert_eq!(after.acknowledged_bytes - before.acknowledged_bytes, 5000);
    }
}
