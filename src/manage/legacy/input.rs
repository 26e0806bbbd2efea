//! Reads the secrets on the command line: the URL, which may have a password, and the key.

use std::fs;
use std::io;
use std::path::Path;

use super::error::LegacyError;
use crate::config::Secret;

/// Returns the URL, or reads it from standard input if it is `-`.
///
/// # Errors
/// Those of standard input.
pub(in super::super) fn url(given: &str) -> Result<Secret, LegacyError> {
    if given != "-" {
        return Ok(Secret::new(given));
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(LegacyError::Url)?;
    Ok(Secret::new(line.trim()))
}

/// Reads the key from a file, without the line end.
///
/// # Errors
/// Those of the file.
pub(in super::super) fn key(file: Option<&Path>) -> Result<Option<Secret>, LegacyError> {
    let Some(file) = file else {
        return Ok(None);
    };
    let text = fs::read_to_string(file).map_err(|cause| LegacyError::Key {
        file: file.to_owned(),
        cause,
    })?;
    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
}
