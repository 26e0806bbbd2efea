//! Progress bar of a transfer on standard error. The bar implements [`ProgressObserver`], which
//! uploads and downloads call; it stays hidden if standard error is not a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::{ProgressObserver, ProgressReporter};

/// Duration after which a transfer shows its bar without `--progress`.
const SHOWN_AFTER: Duration = Duration::from_secs(2);
/// Maximum redraws per second.
const DRAWS_PER_SECOND: u8 = 10;

/// Rule for showing a bar. indicatif draws nothing if standard error is not a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BarVisibility {
    /// From the start.
    Always,
    /// Once the transfer has taken [`SHOWN_AFTER`].
    WhenSlow,
    /// Never.
    Never,
}

/// A bar with rate and remaining time; if the total is unknown, a byte counter with a rate.
pub(super) struct TransferBar {
    bar: ProgressBar,
    started: Instant,
    show: BarVisibility,
    is_shown: AtomicBool,
}

impl TransferBar {
    /// Creates a bar for `total_bytes` bytes, or a counter if the total is unknown.
    pub(super) fn new(total_bytes: Option<u64>, show: BarVisibility) -> Arc<Self> {
        let bar = ProgressBar::with_draw_target(total_bytes, ProgressDrawTarget::hidden());
        bar.set_style(style(total_bytes));
        let bar = Self {
            bar,
            started: Instant::now(),
            show,
            is_shown: AtomicBool::new(false),
        };
        bar.show_if_due();
        Arc::new(bar)
    }

    /// Returns the reporter that feeds this bar.
    pub(super) fn progress(self: &Arc<Self>) -> ProgressReporter {
        let observer: Arc<dyn ProgressObserver> = self.clone();
        ProgressReporter::to(observer)
    }

    /// Stops drawing and leaves the last state on its line.
    pub(super) fn end(&self) {
        self.bar.abandon();
    }

    fn show_if_due(&self) {
        let is_due = match self.show {
            BarVisibility::Always => true,
            BarVisibility::WhenSlow => self.started.elapsed() >= SHOWN_AFTER,
            BarVisibility::Never => false,
        };
        if is_due && !self.is_shown.swap(true, Ordering::Relaxed) {
            let stderr = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
            self.bar.set_draw_target(stderr);
        }
    }
}

impl ProgressObserver for TransferBar {
    fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
        self.show_if_due();
    }

    fn set(&self, total_bytes: Option<u64>, present_bytes: u64) {
        if let Some(total) = total_bytes {
            self.bar.set_length(total);
        }
        self.bar.set_style(style(total_bytes));
        self.bar.set_position(present_bytes);
        // Bytes of an earlier download must not count towards the rate.
        self.bar.reset_eta();
    }
}

fn style(total_bytes: Option<u64>) -> ProgressStyle {
    ProgressStyle::with_template(template(total_bytes))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn template(total_bytes: Option<u64>) -> &'static str {
    match total_bytes {
        Some(_) => {
            "{percent:>3}% [{wide_bar:.}] {binary_bytes}/{binary_total_bytes} \
             {binary_bytes_per_sec} {eta} left"
        }
        None => "{spinner} {binary_bytes} {binary_bytes_per_sec} {elapsed}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_includes_bytes_of_an_earlier_download() {
        for total in [None, Some(7)] {
            let bar = TransferBar::new(total, BarVisibility::Never);
            let progress = bar.progress();
            progress.set(total, 3);
            progress.add(4);
            assert_eq!(bar.bar.position(), 7);
            bar.end();
        }
    }

    #[test]
    fn templates_parse() {
        for total in [None, Some(7)] {
            assert!(ProgressStyle::with_template(template(total)).is_ok());
        }
    }
}
