//! The progress of a transfer on a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::{ProgressObserver, ProgressReporter};

/// A transfer that takes longer shows its bar unasked.
const SHOWN_AFTER: Duration = Duration::from_secs(2);
/// Draws a second, at most.
const DRAWS_PER_SECOND: u8 = 10;

/// When a bar is shown; never where standard error is no terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BarVisibility {
    /// From the start.
    Always,
    /// When the transfer takes long.
    WhenSlow,
    /// Never.
    Never,
}

/// A bar with rate and time left; without a known total, a counter with a rate.
pub(super) struct TransferBar {
    bar: ProgressBar,
    started: Instant,
    show: BarVisibility,
    is_shown: AtomicBool,
}

impl TransferBar {
    /// A bar for so many bytes, where that is known.
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

    /// What is told of the bytes.
    pub(super) fn progress(self: &Arc<Self>) -> ProgressReporter {
        let observer: Arc<dyn ProgressObserver> = self.clone();
        ProgressReporter::to(observer)
    }

    /// Leaves the bar as it is, and the line below it to others.
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
        // What was there before must not count as speed.
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
    fn counts_what_was_there_and_what_came() {
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
