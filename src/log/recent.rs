//! Keeps the last errors for the status page of the admin listener (`/status`).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Number of errors that are kept.
const MAX_ERRORS: usize = 20;

/// Longest message that is kept, in bytes; longer ones are cut.
const MAX_MESSAGE_BYTES: usize = 500;

/// A logged error.
#[derive(Debug, Clone)]
pub struct RecentError {
    /// Local time of the error.
    pub time: String,
    /// The message and its fields, without control characters.
    pub message: String,
}

static RECENT: Mutex<VecDeque<RecentError>> = Mutex::new(VecDeque::new());

/// Returns the last errors, newest first.
pub fn recent_errors() -> Vec<RecentError> {
    let recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    recent.iter().rev().cloned().collect()
}

/// Adds an error and removes the oldest one if there are too many.
pub(super) fn record(time: String, message: &str) {
    let cut = message.floor_char_boundary(MAX_MESSAGE_BYTES);
    let error = RecentError {
        time,
        message: message[..cut].to_owned(),
    };
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    if recent.len() == MAX_ERRORS {
        recent.pop_front();
    }
    recent.push_back(error);
}
