//! The last errors, for the operator's status page.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many are kept.
const MOST: usize = 20;

/// The longest message that is kept of one, in bytes.
const MOST_BYTES: usize = 500;

/// One error that was logged.
#[derive(Debug, Clone)]
pub struct RecentError {
    /// When, in local time.
    pub time: String,
    /// The message and its fields, without control characters.
    pub message: String,
}

static RECENT: Mutex<VecDeque<RecentError>> = Mutex::new(VecDeque::new());

/// The errors that were logged last, the newest first.
pub fn recent_errors() -> Vec<RecentError> {
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    recent.iter().rev().cloned().collect()
}

pub(super) fn record(time: String, message: &str) {
    let cut = message.floor_char_boundary(MOST_BYTES);
    let error = RecentError {
        time,
        message: message[..cut].to_owned(),
    };
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    if recent.len() == MOST {
        recent.pop_front();
    }
    recent.push_back(error);
}
