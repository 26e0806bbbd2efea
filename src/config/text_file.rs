//! Reading a file of the operator's, and who else may.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::error::ConfigError;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Permission bits by which users who are neither the owner nor of the group read a file.
const OTHERS_READ: u32 = 0o004;

/// The text, and whether everybody on this machine may read it.
///
/// # Errors
/// [`ConfigError::Unreadable`], also for what is too large or not UTF-8.
pub(crate) fn read(path: &Path) -> Result<(String, bool), ConfigError> {
    read_text(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn read_text(path: &Path) -> io::Result<(String, bool)> {
    let mut text = String::new();
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let problem = format!("it has more than {MAX_FILE_BYTES} bytes; is it a configuration?");
        return Err(io::Error::other(problem));
    }
    Ok((text, mode & OTHERS_READ != 0))
}
