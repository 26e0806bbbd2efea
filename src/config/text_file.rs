//! Reads configuration files, with a limit on their size and a check of who else can read them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::error::ConfigError;

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Permission bit that lets users other than the owner and the group read a file.
const OTHERS_READ: u32 = 0o004;

/// Returns the text of a file, and true if every user of the machine can read it.
///
/// # Errors
/// Returns [`ConfigError::Unreadable`], also for a file that is too large or not UTF-8.
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
    // Bounded, because the path may lead to a device or a huge file by mistake.
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let problem = format!(
            "the file has more than {MAX_FILE_BYTES} bytes, which is no configuration file"
        );
        return Err(io::Error::other(problem));
    }
    Ok((text, mode & OTHERS_READ != 0))
}
